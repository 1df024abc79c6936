import type { ApiKeys, GuardParts, InstalledPolicies, Rights, ServiceTokens } from '@omium/access'
import type { DeltaSubscriber } from '@omium/deltas'
import type { DomainProof } from '@omium/domain-proof'
import type { CheckpointObjects, ObjectStore } from '@omium/payloads'
import type { PersonalData } from '@omium/personal-data'
import type { Reads } from '@omium/projection-kit'
import type { EgressRules } from '@omium/safe-fetch'
import type { IdSource, KeyEnvironment, Pepper } from '@omium/schemas'
import type { SignIn } from '@omium/sign-in'
import type { WebhookSecrets } from '@omium/webhook-secrets'
import type { ServiceAudience, ServiceClaims, WorkerClaims } from '@omium/worker-tokens'
import type { Redis } from 'ioredis'
import type { Agents } from './agents.ts'
import type { Commands } from './commands.ts'
import type { GatewayContext } from './context.ts'
import type { KnownModels } from './known-models.ts'
import type { Payloads } from './payloads.ts'
import type { Rates } from './rate-limits.ts'
import type { Histories } from './rewind/histories.ts'
import type { StreamSlots } from './streams/stream-slots.ts'
import type { TriggerSignatures } from './trigger-signatures.ts'

/** What the routes work with; `main.ts` makes it, specs replace what is outside. */
export interface Services {
  /** what the read models say, of one tenant or one person at a time */
  readonly reads: Reads
  readonly executions: GatewayContext
  readonly recoveries: GatewayContext
  readonly checkpoints: GatewayContext
  readonly workflows: GatewayContext
  readonly checkpointObjects: CheckpointObjects
  /** what large values and states are kept in; here it is only asked whether it is there */
  readonly objects: Pick<ObjectStore, 'pages'>
  readonly commands: Commands
  readonly triggerSignatures: TriggerSignatures
  readonly webhooks: GatewayContext
  readonly webhookSecrets: WebhookSecrets
  /** which addresses customers may choose, of webhooks and of identity providers */
  readonly egress: EgressRules
  /** what steps put out while they run; absent without Redis */
  readonly deltas: DeltaSubscriber | undefined
  /** counts requests and remembers idempotency keys; absent without a setting, and it may go away at any time */
  readonly redis: Redis | undefined
  /** of the installation's topics, and of what it keeps in Redis */
  readonly topicPrefix: string
  readonly corsOrigins: readonly string[]
  readonly trustedProxies: readonly string[]
  readonly rates: Rates
  readonly agents: Agents
  readonly models: KnownModels
  readonly streamSlots: StreamSlots
  readonly payloads: Payloads
  readonly histories: Histories
  readonly identity: GatewayContext
  /** what ends or changes them is told */
  readonly rights: Rights
  readonly apiKeys: ApiKeys
  readonly serviceTokens: ServiceTokens
  /** absent where the installation has none */
  readonly policies: InstalledPolicies | undefined
  readonly people: NonNullable<GuardParts['people']>
  readonly signIn: SignIn
  /** asks the DNS whether a tenant controls a domain */
  readonly domainProof: DomainProof
  /** how new API keys are made */
  readonly newKeys: { readonly environment: KeyEnvironment; readonly peppers: readonly Pepper[] }
  readonly personalData: PersonalData
  readonly ids: IdSource
  readonly nowMs: () => number
  /** signs what a worker shows to the engines */
  mintWorkerToken(claims: WorkerClaims): string
  /** signs what one service shows to another */
  mintServiceToken(audience: ServiceAudience, claims: ServiceClaims): Promise<{ token: string; expiresAt: number }>
  readonly limits: Limits
}

export interface Limits {
  readonly bodyBytes: number
  /** of all headers together */
  readonly headerBytes: number
  /** until all headers are there, and until the whole request is, ms */
  readonly headersMs: number
  readonly requestMs: number
  /** how long `min_position` may wait, ms */
  readonly readWaitMs: number
  /** longest long poll, ms */
  readonly resultWaitMs: number
  readonly heartbeatMs: number
  readonly slowReaderMs: number
  /** server-sent events and WebSockets together, at one process */
  readonly streamsPerTenant: number
  readonly workerTokenMs: number
}

export const defaultLimits: Limits = {
  bodyBytes: 10 * 1024 * 1024,
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  requestMs: 30_000,
  readWaitMs: 10_000,
  resultWaitMs: 60_000,
  heartbeatMs: 5_000,
  slowReaderMs: 10_000,
  streamsPerTenant: 10_000,
  workerTokenMs: 5 * 60_000,
}
