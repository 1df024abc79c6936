import { z } from 'zod'
import { callerId, name } from '../ids.ts'

/** What receivers of webhooks can be told. Each is derived from recorded events; its payload is public, and grows only. */
export const webhookEventTypes = [
  'execution.completed',
  'execution.failed',
  'execution.cancelled',
  'execution.waiting', // for a person's approval
  'recovery.person_asked',
  'recovery.gave_up',
  'budget.exceeded', // a run failed, or waits for its recovery, because it may not spend more
] as const
export const webhookEventType = z.enum(webhookEventTypes)
export type WebhookEventType = z.infer<typeof webhookEventType>

/** What a delivery can be of: a test is sent to one endpoint only, and cannot be subscribed to. */
export const webhookMessageType = z.enum([...webhookEventTypes, 'webhook.test'])
export type WebhookMessageType = z.infer<typeof webhookMessageType>

/** Runs that an endpoint is about; absent: all. With both, either is enough. */
export const webhookFilter = z.object({
  workflows: z.array(callerId).min(1).max(100).optional(),
  agents: z.array(name).min(1).max(100).optional(),
})

export const webhookSpec = z.object({
  url: z.string().min(1).max(2048),
  types: z.array(webhookEventType).min(1).max(50),
  filter: webhookFilter.optional(),
  description: z.string().max(500).optional(),
})
export type WebhookSpec = z.infer<typeof webhookSpec>

/** where the platform keeps a secret; the log never has the secret in any form */
export const webhookSecretId = z.string().max(100)

export const webhookMessage = z.object({
  /** `webhook-id`: the same for the same event and endpoint, always */
  id: z.string().max(100),
  type: webhookMessageType,
  /** the bytes that are signed and sent: JSON */
  body: z.string().max(32_768),
  /** of the event, ms since the epoch */
  occurredAt: z.number().int().nonnegative(),
})
export type WebhookMessage = z.infer<typeof webhookMessage>

export const webhookOrigin = z.enum(['event', 'replay', 'redelivery', 'test'])
export type WebhookOrigin = z.infer<typeof webhookOrigin>

export const webhookDisabledReasons = [
  'requested',
  'gone', // the receiver answered 410
  'failing', // nothing was delivered for days
] as const
export const webhookDisabledReason = z.enum(webhookDisabledReasons)
export type WebhookDisabledReason = z.infer<typeof webhookDisabledReason>

export const webhookAttemptResult = z.enum(['delivered', 'retrying', 'dead'])
export type WebhookAttemptResult = z.infer<typeof webhookAttemptResult>

export const webhookReplayRange = z.object({
  /** of the events, ms since the epoch; `to` is left out itself */
  from: z.number().int().nonnegative(),
  to: z.number().int().nonnegative(),
  /** absent: those that the endpoint is subscribed to */
  types: z.array(webhookEventType).min(1).max(50).optional(),
})
export type WebhookReplayRange = z.infer<typeof webhookReplayRange>
