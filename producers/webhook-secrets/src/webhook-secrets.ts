import { randomBytes } from 'node:crypto'
import type { Kms } from '@omium/personal-data'
import { OmiumError } from '@omium/schemas'

/**
 * Secrets of webhooks, of those that come in and those that go out. The platform has to know them to sign and to check, so it keeps
 * them wrapped by the KMS in a table of their own: the log and the read models have their ids only. Each is told once.
 *
 * 1. A secret is kept before the command that names it is sent. It stays in doubt until an event has put it in force: the command may
 *    be refused, or its sender may have died.
 * 2. Whatever is said because of an event bears repetition, also after what later events have said.
 */
export interface WebhookSecrets {
  /**
   * @param owner `trigger/<id>`, `webhook_endpoint/<id>`
   * @returns its id
   * @throws OmiumError `unavailable`
   */
  keep(tenant: string, owner: string, secret: string): Promise<string>
  /** @throws OmiumError `unavailable`, `internal` when the owner has no such secret */
  open(tenant: string, owner: string, id: string): Promise<string>
  /** An event, at this offset of its partition, has put it in force, or has it in force still. */
  confirm(tenant: string, owner: string, id: string, offset: number): Promise<void>
  /**
   * What was in force before the event at this offset is so no more. Those that no event has put in force yet stay. Processes that
   * have opened one may know it for as long as they run.
   */
  forget(tenant: string, owner: string, offset: number): Promise<void>
  /** Some of those, made before this time (ms), that no event is known to have put in force. */
  inDoubt(madeBefore: number): Promise<readonly SecretInDoubt[]>
  /** Deletes one if it is in doubt still. */
  discard(secret: SecretInDoubt): Promise<void>
}

export interface SecretInDoubt {
  readonly tenant: string
  readonly owner: string
  readonly id: string
}

export interface WebhookSecretsOptions {
  readonly kms: Pick<Kms, 'wrap' | 'unwrap'>
  /** runs a statement about the rows of a tenant */
  query(tenant: string, text: string, values: readonly unknown[]): Promise<{ readonly rows: readonly object[] }>
}

/** Owners of secrets. */
export const triggerOwner = (triggerId: string): string => `trigger/${triggerId}`
export const endpointOwner = (endpointId: string): string => `webhook_endpoint/${endpointId}`

const idPrefix = 'wsk_'
const mostOpen = 10_000
/** looked at in one go */
const mostInDoubt = 1_000

export const isWebhookSecretId = (text: string): boolean => text.startsWith(idPrefix)

export const createWebhookSecrets = ({ kms, query }: WebhookSecretsOptions): WebhookSecrets => {
  /** it is needed for each delivery, and the key management may be far away */
  const opened = new Map<string, Promise<string>>()
  const subjectOf = (id: string) => `webhook_secrets/${id}`

  const read = async (tenant: string, owner: string, id: string): Promise<string> => {
    const found = await query(
      tenant,
      'SELECT wrapped FROM webhook_secrets WHERE tenant = $1 AND owner = $2 AND id = $3',
      [tenant, owner, id],
    )
    const [row] = found.rows as readonly { readonly wrapped: Buffer }[]
    if (!row) throw new OmiumError('internal', `${owner} has no webhook secret ${id}`)
    return Buffer.from(await kms.unwrap(row.wrapped, subjectOf(id))).toString('utf8')
  }

  return {
    async keep(tenant, owner, secret) {
      const id = `${idPrefix}${randomBytes(16).toString('hex')}`
      const wrapped = Buffer.from(await kms.wrap(Buffer.from(secret), subjectOf(id)))
      await query(tenant, 'INSERT INTO webhook_secrets (id, tenant, owner, wrapped) VALUES ($1, $2, $3, $4)', [
        id,
        tenant,
        owner,
        wrapped,
      ])
      return id
    },
    open(tenant, owner, id) {
      const name = `${tenant}/${owner}/${id}`
      const known = opened.get(name)
      if (known) return known
      const secret = read(tenant, owner, id)
      opened.set(name, secret)
      secret.catch(() => opened.delete(name))
      if (opened.size > mostOpen) opened.delete(opened.keys().next().value as string)
      return secret
    },
    async confirm(tenant, owner, id, offset) {
      await query(
        tenant,
        'UPDATE webhook_secrets SET in_force_at = greatest(in_force_at, $4) WHERE tenant = $1 AND owner = $2 AND id = $3',
        [tenant, owner, id, offset],
      )
    },
    async forget(tenant, owner, offset) {
      for (const name of opened.keys()) if (name.startsWith(`${tenant}/${owner}/`)) opened.delete(name)
      await query(tenant, 'DELETE FROM webhook_secrets WHERE tenant = $1 AND owner = $2 AND in_force_at < $3', [
        tenant,
        owner,
        offset,
      ])
    },
    async inDoubt(madeBefore) {
      const { rows } = await query(
        '',
        'SELECT tenant, owner, id FROM webhook_secrets WHERE in_force_at IS NULL AND created_at < $1 ORDER BY created_at LIMIT $2',
        [new Date(madeBefore), mostInDoubt],
      )
      return rows as readonly SecretInDoubt[]
    },
    async discard({ tenant, owner, id }) {
      await query(
        tenant,
        'DELETE FROM webhook_secrets WHERE tenant = $1 AND owner = $2 AND id = $3 AND in_force_at IS NULL',
        [tenant, owner, id],
      )
    },
  }
}
