import { createHmac, randomBytes } from 'node:crypto'

/** Secrets and signatures as Standard Webhooks (specification 1.0.0) has them. */

const secretBytes = 32
const prefix = 'whsec_'

export const newSecret = (): string => `${prefix}${randomBytes(secretBytes).toString('base64')}`

/** The header `webhook-signature`: one `v1,<base64 HMAC-SHA-256 of "id.seconds.body">` for each secret. */
export const signMessage = (
  secrets: readonly string[],
  { id, seconds, body }: { readonly id: string; readonly seconds: number; readonly body: string },
): string =>
  secrets
    .map((secret) => {
      const key = Buffer.from(secret.slice(prefix.length), 'base64')
      return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
    })
    .join(' ')
