import type { ApiKeys, GuardParts } from '@omium/access'
import type { DeltaSubscriber } from '@omium/deltas'
import type { CheckpointObjects } from '@omium/payloads'
import type { PersonalData } from '@omium/personal-data'
import type { IdSource, KeyEnvironment, Pepper } from '@omium/schemas'
import type { SignIn } from '@omium/sign-in'
import type { Pool } from 'pg'
import type { Agents } from './agents.ts'
import type { Commands } from './commands.ts'
import type { GatewayContext } from './context.ts'
import type { KnownModels } from './known-models.ts'
import type { Payloads } from './payloads.ts'
import type { Histories } from './rewind/histories.ts'
import type { WebhookSecrets } from './webhook-secrets.ts'

/** What the routes work with; `main.ts` makes it, specs replace what is outside. */
export interface Services {
  readonly pool: Pool
  readonly executions: GatewayContext
  readonly recoveries: GatewayContext
  readonly checkpoints: GatewayContext
  readonly workflows: GatewayContext
  readonly checkpointObjects: CheckpointObjects
  readonly commands: Commands
  readonly webhookSecrets: WebhookSecrets
  /** what steps put out while they run; absent without Redis */
  readonly deltas: DeltaSubscriber | undefined
  readonly agents: Agents
  readonly models: KnownModels
  readonly payloads: Payloads
  readonly histories: Histories
  readonly identity: GatewayContext
  readonly apiKeys: ApiKeys
  readonly people: NonNullable<GuardParts['people']>
  readonly signIn: SignIn
  /** how new API keys are made */
  readonly newKeys: { readonly environment: KeyEnvironment; readonly peppers: readonly Pepper[] }
  readonly personalData: PersonalData
  readonly ids: IdSource
  readonly nowMs: () => number
  /** of the installation's topics */
  readonly topicPrefix: string
  /** signs what a worker shows to the engines */
  mintWorkerToken(claims: { tenant: string; keyId: string; expiresAt: number }): string
  readonly limits: Limits
}

export interface Limits {
  readonly bodyBytes: number
  /** how long `min_position` may wait, ms */
  readonly readWaitMs: number
  /** longest long poll, ms */
  readonly resultWaitMs: number
  readonly heartbeatMs: number
  readonly slowReaderMs: number
  readonly workerTokenMs: number
}

export const defaultLimits: Limits = {
  bodyBytes: 10 * 1024 * 1024,
  readWaitMs: 10_000,
  resultWaitMs: 60_000,
  heartbeatMs: 15_000,
  slowReaderMs: 10_000,
  workerTokenMs: 5 * 60_000,
}
