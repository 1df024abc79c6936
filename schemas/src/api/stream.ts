import { z } from 'zod'
import { failure } from '../errors.ts'
import { stepRef, usage } from '../execution/model.ts'
import { callerId } from '../ids.ts'
import { deltaView, eventView, logPosition } from './executions.ts'
import { page } from './pages.ts'

/**
 * `/v1/stream`: JSON messages over one WebSocket, any number of subscriptions on it. A subscription is named by the client;
 * everything about it carries its name. Each event comes exactly once and in order (a feed: in order of its run), and says
 * where it stands: reconnect and subscribe with the last `version`, or the last position of each partition, to go on after it.
 */
const subscription = z.string().min(1).max(64)

/** What a tenant can follow: all events of its runs, or only what they used and cost ({@link chargeView}). */
export const feedName = z.enum(['executions', 'charges'])
export type FeedName = z.infer<typeof feedName>

/** An event of a step that used a model or cost something: its usage, and nothing of what was asked or answered. */
export const chargeView = eventView.extend({
  data: stepRef.omit({ requestHash: true }).extend({ usage }),
})
export type ChargeView = z.infer<typeof chargeView>

/** `0:17,1:4`: a position of each partition, where a feed is read on. A partition that is not named begins now. */
export const feedPosition = z
  .string()
  .regex(/^\d{1,4}:\d{1,16}(,\d{1,4}:\d{1,16})*$/, 'expected <partition>:<offset>,...')
  .max(8192)

export const feedQuery = z.object({
  /** events after these positions; absent: from now on */
  after: feedPosition.optional(),
  /** the same, as a page before it gave it */
  cursor: feedPosition.optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(200),
})

const feedPage = <View extends z.ZodType>(view: View) =>
  page(z.object({ execution: callerId, event: view })).extend({
    /** where to go on, now or later */
    after: feedPosition,
  })
export const tenantEventsPage = feedPage(eventView)
export const chargesPage = feedPage(chargeView)

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
    /** which of the tenant's events; `charges` needs the permission `billing:read` and shows each as a charge */
    feed: feedName.default('executions'),
    /** those first that came after these positions, one for each partition; absent: from now on */
    after: z.array(logPosition).max(1000).optional(),
  }),
  z.object({ type: z.literal('unsubscribe'), subscription }),
])
export type StreamRequest = z.input<typeof streamRequest>

export const streamMessage = z.discriminatedUnion('type', [
  /** what comes next is after these positions */
  z.object({ type: z.literal('subscribed'), subscription, after: z.array(logPosition).optional() }),
  z.object({ type: z.literal('event'), subscription, execution: callerId, event: eventView }),
  /** a feed has nothing before these positions that was not sent: a reader who had nothing for long resumes from here */
  z.object({ type: z.literal('position'), subscription, after: z.array(logPosition) }),
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
