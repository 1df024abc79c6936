import { createHmac, randomBytes } from 'node:crypto'
import type { Kms } from '@omium/personal-data'
import { OmiumError } from '@omium/schemas'

/**
 * Secrets that sign outgoing webhooks (Standard Webhooks, specification 1.0.0). The platform has to know them, so it keeps them
 * wrapped by the KMS and bound to tenant and endpoint: neither the log nor the database shows them. Each is told once.
 */
export interface WebhookSecrets {
  /** @throws OmiumError `unavailable` */
  create(tenant: string, endpointId: string): Promise<{ readonly secret: string; readonly sealed: string }>
  /** @throws OmiumError `unavailable`, `internal` for one of another endpoint */
  open(tenant: string, endpointId: string, sealed: string): Promise<string>
}

const secretBytes = 32
const mostOpen = 10_000

export const createWebhookSecrets = (kms: Kms): WebhookSecrets => {
  /** by its sealed form: it is needed for each delivery, and the KMS may be far away */
  const opened = new Map<string, Promise<string>>()

  const unwrap = async (boundTo: string, sealed: string): Promise<string> => {
    const plain = Buffer.from(await kms.unwrap(Buffer.from(sealed, 'base64url'))).toString('utf8')
    const [owner, secret] = plain.split('\n')
    if (owner !== boundTo || secret === undefined)
      throw new OmiumError('internal', 'a stored webhook secret belongs to another endpoint')
    return secret
  }

  return {
    async create(tenant, endpointId) {
      const secret = `whsec_${randomBytes(secretBytes).toString('base64')}`
      const wrapped = await kms.wrap(Buffer.from(`${tenant}/${endpointId}\n${secret}`))
      return { secret, sealed: Buffer.from(wrapped).toString('base64url') }
    },
    open(tenant, endpointId, sealed) {
      const boundTo = `${tenant}/${endpointId}`
      const name = `${boundTo} ${sealed}`
      const known = opened.get(name)
      if (known) return known
      const secret = unwrap(boundTo, sealed)
      opened.set(name, secret)
      secret.catch(() => opened.delete(name))
      if (opened.size > mostOpen) opened.delete(opened.keys().next().value as string)
      return secret
    },
  }
}

/** The header `webhook-signature`: one `v1,<base64 HMAC-SHA-256 of "id.seconds.body">` for each secret. */
export const signMessage = (
  secrets: readonly string[],
  { id, seconds, body }: { readonly id: string; readonly seconds: number; readonly body: string },
): string =>
  secrets
    .map((secret) => {
      const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
      return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
    })
    .join(' ')
