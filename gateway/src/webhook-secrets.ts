import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { OmiumError } from '@omium/schemas'

/**
 * Secrets of webhooks. The platform has to know a secret to check a signature, so it keeps it encrypted (AES-256-GCM, bound to
 * tenant and trigger): neither the log nor the database shows it. It is told once, when the trigger is made.
 */
export interface WebhookSecrets {
  create(tenant: string, triggerId: string): { readonly secret: string; readonly sealed: string }
  /**
   * Checks `x-omium-signature: t=<seconds>,v1=<hex>` over `<seconds>.<body>`, or over `<seconds>,<event id>,<body>` when the
   * event has an id: whoever saw one delivery cannot make other events of it.
   * @returns what is the same for the same delivery only
   * @throws OmiumError `trigger_signature`; the detail tells nothing that a forger could use
   */
  verify(
    target: WebhookTarget,
    signature: string | undefined,
    eventId: string | undefined,
    body: Buffer,
    nowMs: number,
  ): string
}

export interface WebhookTarget {
  readonly tenant: string
  readonly triggerId: string
  readonly sealed: string
}

const toleranceMs = 5 * 60_000
const header = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/

/** The signature's header, for those who send webhooks. Ids hold no comma, so what is signed can be read in one way only. */
export const signWebhook = (secret: string, body: Buffer | string, seconds: number, eventId?: string): string => {
  const before = eventId === undefined ? `${seconds}.` : `${seconds},${eventId},`
  return `t=${seconds},v1=${createHmac('sha256', secret).update(before).update(body).digest('hex')}`
}

export const createWebhookSecrets = (tokenSecret: string): WebhookSecrets => {
  const key = Buffer.from(hkdfSync('sha256', tokenSecret, '', 'omium.webhook-secret.v1', 32))
  const boundTo = (tenant: string, triggerId: string) => Buffer.from(`${tenant}/${triggerId}`)

  const open = ({ tenant, triggerId, sealed }: WebhookTarget): string => {
    const [iv, tag, text] = sealed.split('.').map((part) => Buffer.from(part, 'base64url'))
    if (!iv || !tag || !text) throw new OmiumError('internal', 'a stored webhook secret is malformed')
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
    decipher.setAAD(boundTo(tenant, triggerId)).setAuthTag(tag)
    return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8')
  }

  return {
    create(tenant, triggerId) {
      const secret = `whs_${randomBytes(32).toString('base64url')}`
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, iv)
      cipher.setAAD(boundTo(tenant, triggerId))
      const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
      return { secret, sealed: [iv, cipher.getAuthTag(), text].map((part) => part.toString('base64url')).join('.') }
    },
    verify(target, signature, eventId, body, nowMs) {
      const [, seconds, given] = header.exec(signature ?? '') ?? []
      const refuse = (why: string) => new OmiumError('trigger_signature', why)
      if (seconds === undefined || given === undefined)
        throw refuse('x-omium-signature: expected t=<seconds>,v1=<64 hex digits>')
      if (Math.abs(nowMs - Number(seconds) * 1000) > toleranceMs)
        throw refuse('x-omium-signature: its time is more than five minutes away')
      const expected = signWebhook(open(target), body, Number(seconds), eventId)
      // one way to write it: with zeros before the time the same delivery would look like others
      const presented = `t=${Number(seconds)},v1=${given}`
      const same =
        expected.length === presented.length && timingSafeEqual(Buffer.from(expected), Buffer.from(presented))
      if (!same) throw refuse('x-omium-signature: it does not fit the body and the id of the event')
      return presented
    },
  }
}
