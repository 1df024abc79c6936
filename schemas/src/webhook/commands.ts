import { z } from 'zod'
import { type ContextDefinition, type RecordOf, v1 } from '../catalogue.ts'
import { webhookContextEvents } from './events.ts'
import { webhookMessage, webhookOrigin, webhookReplayRange, webhookSecretId, webhookSpec } from './model.ts'

/** Commands to endpoints; the aggregate is `webhook_endpoint:<tenant>/<id>`. */
export const webhookEndpointCommands = {
  CreateWebhookEndpoint: v1(z.object({ spec: webhookSpec, secretId: webhookSecretId })),
  ChangeWebhookEndpoint: v1(z.object({ spec: webhookSpec })),
  EnableWebhookEndpoint: v1(z.object({})),
  DisableWebhookEndpoint: v1(z.object({})),
  RotateWebhookSecret: v1(z.object({ secretId: webhookSecretId, overlapMs: z.number().int().nonnegative() })),
  RemoveWebhookEndpoint: v1(z.object({})),
  /** from followers of other contexts and from replays, with ids made from what is delivered; from people, too */
  DeliverWebhook: v1(z.object({ message: webhookMessage, origin: webhookOrigin })),
  ReplayWebhook: v1(z.object({ replayId: z.string().max(100), range: webhookReplayRange })),
} as const
export type WebhookEndpointCommand = RecordOf<typeof webhookEndpointCommands>

export const webhookContext = {
  name: 'webhook',
  commands: webhookEndpointCommands,
  events: webhookContextEvents,
} as const satisfies ContextDefinition
