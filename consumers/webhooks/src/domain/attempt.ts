import type { WebhookEndpointEvent } from '@omium/schemas'
import type { Endpoint } from './endpoint.ts'

/** How an attempt to deliver went. */
export interface Outcome {
  readonly at: number
  readonly tookMs: number
  /** absent: there was no answer */
  readonly status?: number
  readonly answer?: string
  readonly error?: string
  /** what the receiver asked for, ms from then */
  readonly retryAfterMs?: number
}

export interface RetryRules {
  /** before the second, third, ... attempt, ms */
  readonly delaysMs: readonly number[]
  readonly disableAfterMs: number
}

const gone = 410
/** a receiver is not asked later than this because it wants to be */
const longestRetryAfterMs = 86_400_000
/** share of a delay that is random: what failed together does not come back together */
const jitter = 0.2

/**
 * What follows from an attempt.
 * @param random 0 to 1
 * @returns nothing when nobody waits for the message any more
 */
export const decideAttempt = (
  state: Endpoint,
  messageId: string,
  { retryAfterMs, ...outcome }: Outcome,
  { delaysMs, disableAfterMs }: RetryRules,
  random: number,
): readonly WebhookEndpointEvent[] => {
  const pending = state.pending.get(messageId)
  if (!pending) return []
  const attempt = pending.attempts + 1
  const { status, at } = outcome
  const tried = { messageId, attempt, ...outcome }
  if (status !== undefined && status >= 200 && status < 300)
    return [{ type: 'WebhookDeliveryAttempted', data: { ...tried, result: 'delivered' } }]

  const delayMs = delaysMs[attempt - 1]
  const dead: WebhookEndpointEvent = { type: 'WebhookDeliveryAttempted', data: { ...tried, result: 'dead' } }
  if (status === gone)
    return [
      dead,
      { type: 'WebhookEndpointDisabled', data: { reason: 'gone', by: 'system', detail: 'it answered 410' } },
    ]
  const wait = Math.max(
    (delayMs ?? 0) * (1 - jitter / 2 + jitter * random),
    Math.min(retryAfterMs ?? 0, longestRetryAfterMs),
  )
  const tell: WebhookEndpointEvent =
    delayMs === undefined
      ? dead
      : {
          type: 'WebhookDeliveryAttempted',
          data: { ...tried, result: 'retrying', nextAt: Math.round(at + outcome.tookMs + wait) },
        }
  if (at - (state.failingSince ?? at) < disableAfterMs) return [tell]
  const detail = `every attempt since ${new Date(state.failingSince ?? at).toISOString()} has failed`
  return [tell, { type: 'WebhookEndpointDisabled', data: { reason: 'failing', by: 'system', detail } }]
}

/**
 * `Retry-After` (RFC 9110, section 10.2.3): seconds or a date.
 * @returns ms from now; undefined for anything else
 */
export const retryAfterOf = (header: string | undefined, nowMs: number): number | undefined => {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000
  const at = Date.parse(header)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}
