import { OmiumError, type WebhookEventType } from '@omium/schemas'

/** What a webhook tells; docs/guides/webhooks.md has the `data` of each type. */
export interface WebhookMessage {
  readonly type: WebhookEventType | 'webhook.test'
  /** when it happened, ISO 8601 */
  readonly timestamp: string
  /** of the payload; one of a version only grows */
  readonly version: number
  readonly tenant: string
  readonly data: Readonly<Record<string, unknown>>
}

type GivenHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>

const defaultToleranceMs = 300_000
const prefix = 'whsec_'

/**
 * Proves that a request to your endpoint comes from the platform, unchanged and recently (Standard Webhooks 1.0.0), and gives what
 * it tells. Several deliveries may have one `webhook-id`: remember those that you have seen.
 * @param body as it arrived, before anything has parsed it
 * @param secret `whsec_...`; several while one is being replaced
 * @throws OmiumError `unauthenticated` saying what does not fit; answer such a request with 401
 */
export const verifyWebhook = async (
  body: string | Uint8Array,
  headers: GivenHeaders,
  secret: string | readonly string[],
  { toleranceMs = defaultToleranceMs, nowMs = Date.now() }: { toleranceMs?: number; nowMs?: number } = {},
): Promise<WebhookMessage> => {
  const refuse = (why: string): OmiumError => new OmiumError('unauthenticated', `this is no message of Omium: ${why}`)
  const [id, seconds, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => {
    const value = headerOf(headers, name)
    if (value === undefined || value === '') throw refuse(`the header ${name} is missing`)
    return value
  }) as [string, string, string]
  if (!/^\d{1,12}$/.test(seconds)) throw refuse('webhook-timestamp is no time')
  if (Math.abs(nowMs - Number(seconds) * 1000) > toleranceMs)
    throw refuse(`webhook-timestamp is more than ${toleranceMs / 1000} s away from now`)

  const content = typeof body === 'string' ? encoder.encode(body) : body
  const start = encoder.encode(`${id}.${seconds}.`)
  const signed = new Uint8Array(start.length + content.length)
  signed.set(start)
  signed.set(content, start.length)
  // one is made with each secret of the endpoint
  const given = signatures.split(' ').flatMap((one) => (one.startsWith('v1,') ? (bytesOf(one.slice(3)) ?? []) : []))
  for (const one of [secret].flat()) {
    const bytes = bytesOf(one.replace(prefix, ''))
    if (!bytes?.length) throw new OmiumError('settings_invalid', `a webhook's secret is ${prefix} and base64`)
    const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
    for (const signature of given)
      if (await crypto.subtle.verify('HMAC', key, signature, signed))
        return JSON.parse(new TextDecoder().decode(content)) as WebhookMessage
  }
  throw refuse('it is not signed with the secret of this endpoint, or was changed on its way')
}

const encoder = new TextEncoder()

const headerOf = (headers: GivenHeaders, name: string): string | undefined => {
  if (headers instanceof Headers) return headers.get(name) ?? undefined
  const [, value] = Object.entries(headers).find(([key]) => key.toLowerCase() === name) ?? []
  return typeof value === 'object' ? value.join(' ') : value
}

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> | undefined => {
  try {
    return Uint8Array.from(atob(base64), (one) => one.charCodeAt(0))
  } catch {
    return undefined
  }
}
