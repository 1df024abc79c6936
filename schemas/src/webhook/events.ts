import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'
import { partitionEvents } from '../log/partition-events.ts'
import {
  webhookAttemptResult,
  webhookDisabledReason,
  webhookMessage,
  webhookOrigin,
  webhookReplayRange,
  webhookSecretId,
  webhookSpec,
} from './model.ts'

const timeMs = z.number().int().nonnegative()
const by = z.string()

/** Events of one endpoint: what it is told, and how that went. */
export const webhookEndpointEvents = {
  WebhookEndpointCreated: v1(z.object({ spec: webhookSpec, secretId: webhookSecretId, by })),
  WebhookEndpointChanged: v1(z.object({ spec: webhookSpec, by })),
  WebhookEndpointEnabled: v1(z.object({ by })),
  /** whatever was to be delivered is dead-lettered; nothing comes until it is enabled */
  WebhookEndpointDisabled: v1(z.object({ reason: webhookDisabledReason, by, detail: z.string().max(1000).optional() })),
  /** until then messages are signed with the secrets before it as well */
  WebhookSecretRotated: v1(z.object({ secretId: webhookSecretId, previousUntil: timeMs, by })),
  WebhookEndpointRemoved: v1(z.object({ by })),

  WebhookDeliveryRequested: v1(z.object({ message: webhookMessage, origin: webhookOrigin })),
  WebhookDeliveryAttempted: v1(
    z.object({
      messageId: z.string().max(100),
      attempt: z.number().int().positive(),
      at: timeMs,
      tookMs: z.number().nonnegative(),
      /** of the answer; absent when there was none */
      status: z.number().int().optional(),
      /** its beginning */
      answer: z.string().max(2000).optional(),
      error: z.string().max(1000).optional(),
      result: webhookAttemptResult,
      /** of a next attempt, when there is to be one */
      nextAt: timeMs.optional(),
    }),
  ),
  /** it was never tried: too many others wait */
  WebhookDeliveryDropped: v1(z.object({ message: webhookMessage, origin: webhookOrigin, why: z.string().max(500) })),
  /** what was delivered or given up before then, and replays that ended, are not kept any longer */
  WebhookDeliveriesForgotten: v1(z.object({ before: timeMs })),

  WebhookReplayRequested: v1(z.object({ replayId: z.string().max(100), range: webhookReplayRange, by })),
  WebhookReplayFinished: v1(z.object({ replayId: z.string().max(100), found: z.number().int().nonnegative() })),
} as const
export type WebhookEndpointEvent = RecordOf<typeof webhookEndpointEvents>

export const webhookContextEvents = { ...partitionEvents, ...webhookEndpointEvents } as const
export type WebhookContextEvent = RecordOf<typeof webhookContextEvents>
