import { putTenants } from '@omium/access/testing'
import { eventually, newApiKey, testStack } from '@omium/dev/testing'
import { openCommandSender } from '@omium/log'
import { executionsProjection } from '@omium/projection-executions'
import { aggregateKey } from '@omium/schemas'
import type { Logger } from 'pino'
import { expect } from 'vitest'
import type { GatewayLogs } from '../src/logs.ts'
import type { Limits } from '../src/services.ts'
import { type ConfigChanges, openFrame } from './frame.ts'
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
  const frame = await openFrame({
    OMIUM_PARTITIONS: String(partitions),
    OMIUM_REDIS_URL: testStack().redisUrl,
    ...options.env,
  })
  const { databaseUrl, env, pool, logs } = frame
  await putTenants(databaseUrl, env, { tenant: 'ten_a', apiKey: keyA }, { tenant: 'ten_b', apiKey: keyB })
  const log = logs.execution
  const { engine, owner } = await ScriptedEngine.start(log.context, partitions, endpoint)
  frame.adopt(owner, (one) => one.close())
  await frame.project(executionsProjection, 'execution')

  /**
   * One more gateway on the same services, or on logs that behave otherwise, which whoever asks for it closes. It waits as long as any
   * gateway does: what must not come in time is asked of one that gives up soon.
   */
  const startOne = ({ limits, ...changes }: ConfigChanges = {}, through: Partial<GatewayLogs> = {}) =>
    frame.startGateway(
      {
        ...changes,
        // a busy machine makes readers slow as well: those of the specs, who take everything
        limits: { heartbeatMs: 100, slowReaderMs: 3_000, ...options.limits, ...limits },
      },
      { through, ...(options.logger && { logger: options.logger }) },
    )
  const gateway = frame.adopt(await startOne(), (one) => one.close())

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
    project: frame.project,
    close: frame.close,
  }
}
export type GatewayWorld = Awaited<ReturnType<typeof startGatewayWorld>>
