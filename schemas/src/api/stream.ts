import { z } from 'zod'
import { failure } from '../errors.ts'
import { callerId } from '../ids.ts'
import { deltaView, eventView, logPosition } from './executions.ts'

/**
 * `/v1/stream`: JSON messages over one WebSocket, any number of subscriptions on it. A subscription is named by the client;
 * everything about it carries its name. Each event comes exactly once and in order (a feed: in order of its run), and says
 * where it stands: reconnect and subscribe with the last `version`, or the last position of each partition, to go on after it.
 */
const subscription = z.string().min(1).max(64)

export const streamRequest = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('subscribe'),
    subscription,
    /** events of one run: history after version `after`, then live, until it ends */
    execution: callerId,
    after: z.number().int().min(0).default(0),
    /** live output of steps too */
    deltas: z.boolean().default(false),
  }),
  z.object({
    type: z.literal('follow'),
    subscription,
    /** events of all of the tenant's runs, those first that came after these positions, one for each partition; absent: from now on */
    after: z.array(logPosition).max(1000).optional(),
  }),
  z.object({ type: z.literal('unsubscribe'), subscription }),
])
export type StreamRequest = z.input<typeof streamRequest>

export const streamMessage = z.discriminatedUnion('type', [
  /** what comes next is after these positions */
  z.object({ type: z.literal('subscribed'), subscription, after: z.array(logPosition).optional() }),
  z.object({ type: z.literal('event'), subscription, execution: callerId, event: eventView }),
  z.object({ type: z.literal('delta'), subscription, execution: callerId, delta: deltaView }),
  /** the run has ended, or the subscription was given up */
  z.object({ type: z.literal('ended'), subscription }),
  /** about a subscription, which is over, or about a message that was not understood */
  z.object({ type: z.literal('error'), subscription: subscription.optional(), error: failure }),
  z.object({ type: z.literal('heartbeat') }),
])
export type StreamMessage = z.infer<typeof streamMessage>

/** Why the gateway closes a WebSocket of its own accord. After each of them a client may connect again and resume. */
export const streamCloseCodes = {
  /** the process ends; another one, or the next one, goes on */
  goingAway: 1001,
  /** more was waiting for the reader than is held for one; code `slow_reader` */
  slowReader: 4008,
  /** the key was revoked or has expired; code `unauthenticated` */
  unauthenticated: 4001,
} as const
