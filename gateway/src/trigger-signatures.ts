import { createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { OmiumError } from '@omium/schemas'
import { isWebhookSecretId, triggerOwner, type WebhookSecrets } from '@omium/webhook-secrets'

/** Webhooks that come in: the secrets of triggers, and the check of what is signed with them. */
export interface TriggerSignatures {
  /** `sealed` is what the trigger keeps: the id of its secret */
  create(tenant: string, triggerId: string): Promise<{ readonly secret: string; readonly sealed: string }>
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
  ): Promise<string>
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

/** @param tokenSecret what secrets of older triggers, which stand encrypted in the triggers themselves, were encrypted with */
export const createTriggerSignatures = (
  secrets: Pick<WebhookSecrets, 'keep' | 'open'>,
  tokenSecret: string,
): TriggerSignatures => {
  const formerKey = Buffer.from(hkdfSync('sha256', tokenSecret, '', 'omium.webhook-secret.v1', 32))

  const openFormer = ({ tenant, triggerId, sealed }: WebhookTarget): string => {
    const [iv, tag, text] = sealed.split('.').map((part) => Buffer.from(part, 'base64url'))
    if (!iv || !tag || !text) throw new OmiumError('internal', 'a stored webhook secret is malformed')
    const decipher = createDecipheriv('aes-256-gcm', formerKey, iv, { authTagLength: 16 })
    decipher.setAAD(Buffer.from(`${tenant}/${triggerId}`)).setAuthTag(tag)
    return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8')
  }

  const open = (target: WebhookTarget): Promise<string> | string =>
    isWebhookSecretId(target.sealed)
      ? secrets.open(target.tenant, triggerOwner(target.triggerId), target.sealed)
      : openFormer(target)

  return {
    async create(tenant, triggerId) {
      const secret = `whs_${randomBytes(32).toString('base64url')}`
      return { secret, sealed: await secrets.keep(tenant, triggerOwner(triggerId), secret) }
    },
    async verify(target, signature, eventId, body, nowMs) {
      const [, seconds, given] = header.exec(signature ?? '') ?? []
      const refuse = (why: string) => new OmiumError('trigger_signature', why)
      if (seconds === undefined || given === undefined)
        throw refuse('x-omium-signature: expected t=<seconds>,v1=<64 hex digits>')
      if (Math.abs(nowMs - Number(seconds) * 1000) > toleranceMs)
        throw refuse('x-omium-signature: its time is more than five minutes away')
      const expected = signWebhook(await open(target), body, Number(seconds), eventId)
      // one way to write it: with zeros before the time the same delivery would look like others
      const presented = `t=${Number(seconds)},v1=${given}`
      const same =
        expected.length === presented.length && timingSafeEqual(Buffer.from(expected), Buffer.from(presented))
      if (!same) throw refuse('x-omium-signature: it does not fit the body and the id of the event')
      return presented
    },
  }
}
