import type { ApiKeys } from '@omium/api-keys'
import type { DeltaSubscriber } from '@omium/deltas'
import type { CheckpointObjects } from '@omium/payloads'
import type { IdSource } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import type { Pool } from 'pg'
import type { Agents } from './agents.ts'
import type { Commands } from './commands.ts'
import type { GatewayContext } from './context.ts'
import type { Payloads } from './payloads.ts'
import type { Rates } from './rate-limits.ts'
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
  /** counts requests and remembers idempotency keys; absent without a setting, and it may go away at any time */
  readonly redis: Redis | undefined
  /** separates what installations keep in one Redis */
  readonly topicPrefix: string
  readonly corsOrigins: readonly string[]
  readonly trustedProxies: readonly string[]
  readonly rates: Rates
  /** of what the gateway calls outside, by name */
  breakers(): Readonly<Record<string, BreakerState>>
  readonly agents: Agents
  readonly payloads: Payloads
  readonly apiKeys: ApiKeys
  readonly ids: IdSource
  readonly nowMs: () => number
  /** signs what a worker shows to the engines */
  mintWorkerToken(claims: { tenant: string; keyId: string; expiresAt: number }): string
  readonly limits: Limits
}

export type BreakerState = 'closed' | 'half-open' | 'open'

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
  readonly workerTokenMs: number
}

export const defaultLimits: Limits = {
  bodyBytes: 10 * 1024 * 1024,
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  requestMs: 30_000,
  readWaitMs: 10_000,
  resultWaitMs: 60_000,
  heartbeatMs: 15_000,
  slowReaderMs: 10_000,
  workerTokenMs: 5 * 60_000,
}

/** Whether the key of a request that lasts long would still let it in. */
export const isStillAllowed = async ({ apiKeys }: Services, { headers }: FastifyRequest): Promise<boolean> => {
  const apiKey = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  return apiKey === undefined || (await apiKeys.lookup(apiKey)) !== undefined
}
