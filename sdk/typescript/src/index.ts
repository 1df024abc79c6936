export { OmiumError } from '@omium/schemas'
export { type AgentSpec, agent } from './agent.ts'
export type { CheckpointFilter, Checkpoints, NewCheckpoint } from './client/checkpoints.ts'
export {
  type AgentView,
  type Client,
  type ListFilter,
  omium,
  type Resolution,
  type RunHandle,
  type StartOptions,
} from './client/client.ts'
export type { Delta, EventsOptions } from './client/events.ts'
export type { ChargeEvent, FollowedEvent, FollowOptions } from './client/follow.ts'
export type { ConnectionOptions, RequestOptions, Tried } from './client/http.ts'
export type { CreatedKey, Keys, NewKey } from './client/keys.ts'
export type { Invitations, Members } from './client/members.ts'
export type { ModelView } from './client/models.ts'
export type { IncidentFilter, Recoveries, RecoveryPolicies } from './client/recoveries.ts'
export type { Edits, ForkOptions, ReplayRequest, Replays, Rewinding, RollBackOptions } from './client/rewind.ts'
export { verifyWebhook, type WebhookMessage } from './client/webhook-signature.ts'
export type { Webhooks } from './client/webhooks.ts'
export type { RunWorkflowOptions, Schedules, Triggers, Workflows } from './client/workflows.ts'
export type {
  Agent,
  AgentInput,
  AgentOutput,
  AnyAgent,
  CallOptions,
  Context,
  LlmContext,
  RunOptions,
} from './context.ts'
export type { Duration } from './duration.ts'
export {
  type ChatMessage,
  type ChatRequest,
  type ChatResult,
  type Complete,
  type Completion,
  type Price,
  type PriceTable,
  type Tool,
  type ToolCall,
  type ToolLoopRequest,
  type ToolLoopResult,
  tool,
} from './llm/model.ts'
export { openAiCompatible } from './llm/openai.ts'
export { defaultPrices } from './llm/prices.ts'
export { type LoadedAgents, loadAgents } from './load-agents.ts'
export { nonRetryable } from './replay/failures.ts'
export type { Reconcile, Reconciliation, StepInfo, StepOptions } from './step.ts'
export { type Worker, type WorkerLlmOptions, type WorkerOptions, worker } from './worker/worker.ts'
