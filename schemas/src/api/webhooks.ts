import { z } from 'zod'
import { callerId } from '../ids.ts'
import {
  webhookAttemptResult,
  webhookDisabledReason,
  webhookEventType,
  webhookFilter,
  webhookMessageType,
  webhookOrigin,
  webhookSpec,
} from '../webhook/model.ts'
import { logPosition } from './executions.ts'
import { pageQuery } from './pages.ts'

/** Outgoing webhooks over HTTP. `position` is of the webhook events topic. */

const time = z.iso.datetime()
const days = 86_400_000

const url = z.url({ protocol: /^https?$/ }).max(2048)
const types = webhookSpec.shape.types.describe('What it is told; unknown ones are refused')
export const createWebhookBody = z.strictObject({
  url,
  types,
  filter: z.strictObject(webhookFilter.shape).optional(),
  description: z.string().max(500).optional(),
})
/** What is not given stays; `filter: null` takes the filter away. */
export const changeWebhookBody = z.strictObject({
  url: url.optional(),
  types: types.optional(),
  filter: z.strictObject(webhookFilter.shape).nullish(),
  description: z.string().max(500).nullish(),
})

export const webhookView = z.object({
  id: z.string(),
  url: z.string(),
  types: z.array(webhookEventType),
  filter: webhookFilter.optional(),
  description: z.string().optional(),
  status: z.enum(['enabled', 'disabled']),
  disabled: z.object({ reason: webhookDisabledReason, detail: z.string().optional() }).optional(),
  /** since when nothing could be delivered */
  failingSince: time.optional(),
  /** until then messages are signed with the secret before the newest one as well */
  previousSecretUntil: time.optional(),
  createdBy: z.string(),
  createdAt: time,
  updatedAt: time,
  position: logPosition,
})
export type WebhookView = z.infer<typeof webhookView>

export const webhookReceipt = z.object({ id: z.string(), position: logPosition, deduplicated: z.boolean() })
export type WebhookReceipt = z.infer<typeof webhookReceipt>
/** `whsec_...`; it is shown this once */
export const webhookSecretReceipt = webhookReceipt.extend({ secret: z.string() })
export type WebhookSecretReceipt = z.infer<typeof webhookSecretReceipt>

export const rotateWebhookBody = z.strictObject({
  /** how long the secrets before it go on signing, too */
  overlapMs: z
    .number()
    .int()
    .min(0)
    .max(7 * days)
    .default(days),
})

export const webhookDeliveryStatus = z.enum(['pending', 'delivered', 'dead'])
export const listWebhookDeliveriesQuery = pageQuery.extend({ status: webhookDeliveryStatus.optional() })
export const webhookDeliveryView = z.object({
  /** `webhook-id` */
  id: z.string(),
  type: webhookMessageType,
  origin: webhookOrigin,
  status: webhookDeliveryStatus,
  attempts: z.number().int(),
  occurredAt: time,
  requestedAt: time,
  /** of the next attempt */
  nextAt: time.optional(),
  settledAt: time.optional(),
  lastStatus: z.number().int().optional(),
  why: z.string().optional(),
})
export type WebhookDeliveryView = z.infer<typeof webhookDeliveryView>

export const webhookAttemptView = z.object({
  at: time,
  tookMs: z.number(),
  status: z.number().int().optional(),
  /** the beginning of what was answered */
  answer: z.string().optional(),
  error: z.string().optional(),
  result: webhookAttemptResult,
})
export const webhookDeliveryDetail = webhookDeliveryView.extend({
  /** what was signed and sent */
  body: z.string(),
  history: z.array(webhookAttemptView),
})
export type WebhookDeliveryDetail = z.infer<typeof webhookDeliveryDetail>

export const webhookDeliveryParams = z.object({ id: callerId, delivery: callerId })
export const webhookDeliveryReceipt = webhookReceipt.extend({ delivery: z.string() })
export type WebhookDeliveryReceipt = z.infer<typeof webhookDeliveryReceipt>

export const replayWebhookBody = z.strictObject({
  /** of the events */
  from: time,
  /** left out itself; now when absent */
  to: time.optional(),
  /** those that the endpoint is subscribed to when absent */
  types: types.optional(),
})
export const webhookReplayReceipt = webhookReceipt.extend({ replay: z.string() })
export type WebhookReplayReceipt = z.infer<typeof webhookReplayReceipt>
export const webhookReplayView = z.object({
  id: z.string(),
  from: time,
  to: time,
  types: z.array(webhookEventType).optional(),
  status: z.enum(['running', 'finished', 'stopped']),
  /** how many events there were */
  found: z.number().int().optional(),
  requestedBy: z.string(),
  requestedAt: time,
  finishedAt: time.optional(),
})
export type WebhookReplayView = z.infer<typeof webhookReplayView>
