import { randomBytes } from 'node:crypto'
import { putTenants } from '@omium/access/testing'
import {
  eventually,
  freshDatabase,
  freshPrefix,
  freshSecrets,
  gatewayDatabaseUrl,
  newApiKey,
  testStack,
} from '@omium/dev/testing'
import { openCommandSender } from '@omium/log'
import { migrate } from '@omium/migrations'
import { executionsProjection } from '@omium/projection-executions'
import { createPool, openLog, runProjection } from '@omium/projection-kit'
import {
  aggregateKey,
  checkpointContext,
  executionContext,
  identityContext,
  recoveryContext,
  webhookContext,
  workflowContext,
} from '@omium/schemas'
import { type Logger, pino } from 'pino'
import { expect } from 'vitest'
import { type Config, readConfig } from '../src/config.ts'
import { type GatewayLogs, startGateway } from '../src/gateway.ts'
import type { Limits } from '../src/services.ts'
import { ScriptedEngine } from './scripted-engine.ts'

/** A gateway on the real log, database, object store and Redis; behind it a scripted engine, so that each answer can be provoked. */
export const keyA = newApiKey()
export const keyB = newApiKey()

const partitions = 3
const endpoint = 'ws://127.0.0.1:12345'

export interface CallOptions {
  body?: unknown
  raw?: string | Uint8Array
  key?: string | null
  headers?: Record<string, string>
}

export interface GatewayWorldOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly limits?: Partial<Limits>
  readonly logger?: Logger
}

export const startGatewayWorld = async (options: GatewayWorldOptions = {}) => {
  const stack = testStack()
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  const secrets = freshSecrets()
  await putTenants(databaseUrl, secrets, { tenant: 'ten_a', apiKey: keyA }, { tenant: 'ten_b', apiKey: keyB })
  const pool = createPool(databaseUrl)
  const env: Record<string, string> = {
    OMIUM_KAFKA_BROKERS: stack.kafkaBrokers.join(','),
    OMIUM_SCHEMA_REGISTRY_URL: stack.registryUrl,
    OMIUM_TOPIC_PREFIX: freshPrefix(),
    OMIUM_PARTITIONS: String(partitions),
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_GATEWAY_DATABASE_URL: gatewayDatabaseUrl(databaseUrl),
    ...secrets,
    OMIUM_TOKEN_SECRET: randomBytes(32).toString('hex'),
    OMIUM_S3_ENDPOINT: stack.s3.endpoint,
    OMIUM_S3_REGION: stack.s3.region,
    OMIUM_S3_BUCKET: stack.s3.bucket,
    OMIUM_S3_ACCESS_KEY_ID: stack.s3.accessKeyId,
    OMIUM_S3_SECRET_ACCESS_KEY: stack.s3.secretAccessKey,
    OMIUM_REDIS_URL: stack.redisUrl,
    OMIUM_GATEWAY_PORT: '0',
    ...options.env,
  }
  const quiet = () => undefined
  const open = (definition: Parameters<typeof openLog>[1]) => openLog(env, definition, 'gateway-spec', quiet)
  const logs = {
    execution: await open(executionContext),
    recovery: await open(recoveryContext),
    checkpoint: await open(checkpointContext),
    workflow: await open(workflowContext),
    identity: await open(identityContext),
    webhook: await open(webhookContext),
  }
  const log = logs.execution
  const { engine, owner } = await ScriptedEngine.start(log.context, partitions, endpoint)
  const projection = await runProjection({ definition: executionsProjection, log, pool, databaseUrl, onNotice: quiet })

  /** one more gateway on the same services, or on logs that behave otherwise */
  const startOne = (changes: Partial<Config> = {}, through: Partial<GatewayLogs> = {}) => {
    const config = readConfig(env)
    const limits = { ...config.limits, readWaitMs: 3_000, heartbeatMs: 100, slowReaderMs: 300, ...options.limits }
    return startGateway(
      { ...config, commandTimeoutMs: 3_000, limits, ...changes },
      { ...logs, ...through },
      options.logger ?? pino({ level: 'silent' }),
    )
  }
  const gateway = await startOne()

  const call = async (
    method: string,
    path: string,
    { body, raw, key = keyA, headers, at = gateway.url }: CallOptions & { at?: string } = {},
  ) => {
    const response = await fetch(`${at}${path}`, {
      method,
      headers: {
        ...(key !== null && { authorization: `Bearer ${key}` }),
        ...((body !== undefined || raw !== undefined) && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(raw !== undefined && { body: raw as string }),
    })
    const text = await response.text()
    // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
    return { status: response.status, headers: response.headers, body: (text ? JSON.parse(text) : null) as any }
  }

  await eventually(() => expect(engine.owns).toBe(partitions), { timeoutMs: 30_000 })
  const sender = await openCommandSender(log.context)
  for (const tenant of ['ten_a', 'ten_b']) {
    await sender.send({
      id: `cmd_register_${tenant}`,
      type: 'RegisterAgent',
      data: {
        definition: {
          agentId: 'writer',
          inputSchema: {
            type: 'object',
            properties: { topic: { type: 'string', minLength: 2 } },
            required: ['topic'],
            additionalProperties: true,
          },
          defaults: { priority: 5 },
        },
        definitionHash: 'x',
      },
      aggregate: aggregateKey('agent', tenant, 'writer'),
      tenant,
      actor: 'system',
      correlationId: 'spec',
    })
  }
  await sender.close()
  for (const key of [keyA, keyB])
    await eventually(async () => expect((await call('GET', '/v1/agents', { key })).body.items).toHaveLength(1), {
      timeoutMs: 30_000,
    })

  return {
    gateway,
    engine,
    pool,
    logs,
    env,
    endpoint,
    call,
    startOne,
    close: async () => {
      await gateway.close()
      await projection.close()
      await owner.close()
      for (const one of Object.values(logs)) await one.close()
      await pool.end()
    },
  }
}
export type GatewayWorld = Awaited<ReturnType<typeof startGatewayWorld>>
