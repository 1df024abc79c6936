import { randomBytes } from 'node:crypto'
import type { Kms } from '@omium/personal-data'
import { OmiumError } from '@omium/schemas'

/**
 * Secrets of webhooks, of those that come in and those that go out. The platform has to know them to sign and to check, so it keeps
 * them wrapped by the KMS in a table of their own: the log and the read models have their ids only. Each is told once.
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
  /** All that the owner has. Processes that have opened one may know it for as long as they run. */
  forget(tenant: string, owner: string): Promise<void>
}

export interface WebhookSecretsOptions {
  readonly kms: Pick<Kms, 'wrap' | 'unwrap'>
  /** runs a statement about the rows of a tenant */
  query(tenant: string, text: string, values: readonly unknown[]): Promise<{ readonly rows: readonly object[] }>
}

/** The owner of the secrets of an endpoint. */
export const endpointOwner = (endpointId: string): string => `webhook_endpoint/${endpointId}`

const idPrefix = 'wsk_'
const mostOpen = 10_000

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
    async forget(tenant, owner) {
      for (const name of opened.keys()) if (name.startsWith(`${tenant}/${owner}/`)) opened.delete(name)
      await query(tenant, 'DELETE FROM webhook_secrets WHERE tenant = $1 AND owner = $2', [tenant, owner])
    },
  }
}
