import type { WebhookEndpointEvent } from '@omium/schemas'
import type { Endpoint } from './endpoint.ts'

/** What ended is forgotten in so many steps for each time that it is kept: an event a day for thirty days. */
const stepsPerTime = 30

/**
 * When something that ended has been kept for long enough, so that it is to be forgotten with all that ended so long ago.
 * @param keepMs how long what ended is kept
 * @returns ms since the epoch; undefined: nothing ended
 */
export const forgetsAt = ({ ended }: Endpoint, keepMs: number): number | undefined =>
  ended && ended.first + keepMs + Math.floor(keepMs / stepsPerTime)

/** What follows from the time that has passed. */
export const decideForgetting = (state: Endpoint, keepMs: number, nowMs: number): readonly WebhookEndpointEvent[] => {
  const at = forgetsAt(state, keepMs)
  if (at === undefined || at > nowMs) return []
  return [{ type: 'WebhookDeliveriesForgotten', data: { before: nowMs - keepMs } }]
}
