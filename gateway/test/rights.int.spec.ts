import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { SessionCallers } from '@omium/access'
import { freePort } from '@omium/dev'
import {
  eventually,
  freshPrefix,
  freshSecrets,
  gatewayDatabaseUrl,
  newApiKey,
  type OwnComponent,
  type ServiceHandle,
  spawnService,
  startPostgres,
  startRedis,
  testStack,
} from '@omium/dev/testing'
import { type CommandSender, openCommandSender } from '@omium/log'
import { migrate } from '@omium/migrations'
import { parseModelSettings, readConfig as readModelConfig, startModelGateway } from '@omium/model-gateway'
import { executionsProjection } from '@omium/projection-executions'
import { identityProjection } from '@omium/projection-identity'
import { createPool, openLog, type RunningProjection, runProjection } from '@omium/projection-kit'
import {
  aggregateKey,
  checkpointContext,
  type ExecutionContextEvent,
  executionContext,
  type IdentityContextCommand,
  identityContext,
  platformTenant,
  recoveryContext,
  webhookContext,
  workflowContext,
} from '@omium/schemas'
import type { Pool } from 'pg'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { readConfig } from '../src/config.ts'
import { startGateway } from '../src/gateway.ts'
import { ScriptedEngine } from './scripted-engine.ts'
import { started } from './started-runs.ts'

/**
 * Changes of rights take effect within five seconds at the gateway, at the model gateway and on streams that are open, whatever is
 * down: PostgreSQL, Redis or what fills the read models. Everything is real; only sessions of people are handed in.
 */
const effectMs = 5_000
const localKey = newApiKey()
const tenant = 'ten_local'
const quiet = () => undefined
const patient = { timeoutMs: 60_000 }

let postgres: OwnComponent
let redis: OwnComponent
let pool: Pool
let identityProcess: ServiceHandle
let projection: RunningProjection
let runs: RunningProjection
let engine: Awaited<ReturnType<typeof ScriptedEngine.start>>
let sender: CommandSender
let gateway: Awaited<ReturnType<typeof startGateway>>
let models: Awaited<ReturnType<typeof startModelGateway>>
let logs: Record<
  'execution' | 'checkpoint' | 'recovery' | 'workflow' | 'identity' | 'webhook',
  Awaited<ReturnType<typeof openLog>>
>
let followIdentity: () => Promise<RunningProjection>

const sessions: SessionCallers = {
  callerOf: async (headers) => {
    const userId = headers['x-spec-user']
    return typeof userId === 'string'
      ? { tenant, userId, sessionId: `ses_${userId}`, amr: [], authenticatedAt: Date.now() }
      : undefined
  },
}

beforeAll(async () => {
  const stack = testStack()
  ;[postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  const databaseUrl = postgres.url
  const port = await freePort()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  pool = createPool(databaseUrl)
  const env = {
    ...freshSecrets(),
    OMIUM_LOCAL_API_KEY: localKey,
    OMIUM_KAFKA_BROKERS: stack.kafkaBrokers.join(','),
    OMIUM_SCHEMA_REGISTRY_URL: stack.registryUrl,
    OMIUM_TOPIC_PREFIX: freshPrefix(),
    OMIUM_PARTITIONS: '2',
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_GATEWAY_DATABASE_URL: gatewayDatabaseUrl(databaseUrl),
    OMIUM_REDIS_URL: redis.url,
    OMIUM_S3_ENDPOINT: stack.s3.endpoint,
    OMIUM_S3_REGION: stack.s3.region,
    OMIUM_S3_BUCKET: stack.s3.bucket,
    OMIUM_S3_ACCESS_KEY_ID: stack.s3.accessKeyId,
    OMIUM_S3_SECRET_ACCESS_KEY: stack.s3.secretAccessKey,
    OMIUM_OWNER_SESSION_TIMEOUT_MS: '1500',
    OMIUM_GATEWAY_PORT: String(port),
    OMIUM_URL: `http://127.0.0.1:${port}`,
    OMIUM_MODELS_PORT: '0',
    OMIUM_RATE_SENSITIVE: '0',
    OMIUM_IDENTITY_PORT: '0',
  }
  const open = (definition: Parameters<typeof openLog>[1]) => openLog(env, definition, 'rights-spec', quiet)
  logs = {
    identity: await open(identityContext),
    webhook: await open(webhookContext),
    execution: await open(executionContext),
    checkpoint: await open(checkpointContext),
    recovery: await open(recoveryContext),
    workflow: await open(workflowContext),
  }
  sender = await openCommandSender(logs.identity.context)
  identityProcess = await spawnService('consumers/identity/src/main.ts', env, {
    readyLine: /"msg":"ready"/,
    readyTimeoutMs: 90_000,
  })
  followIdentity = () =>
    runProjection({ definition: identityProjection, log: logs.identity, pool, databaseUrl, onNotice: quiet })
  projection = await followIdentity()
  runs = await runProjection({
    definition: executionsProjection,
    log: logs.execution,
    pool,
    databaseUrl,
    onNotice: quiet,
  })
  engine = await ScriptedEngine.start(logs.execution.context, 2, 'ws://127.0.0.1:1')
  await eventually(() => expect(engine.engine.owns).toBe(2), patient)
  const logger = pino({ level: 'silent' })
  gateway = await startGateway({ ...readConfig(env), commandTimeoutMs: 15_000 }, logs, logger, { sessions })
  const settings = parseModelSettings(
    {
      version: 1,
      providers: { gone: { dialect: 'openai', baseUrl: 'http://127.0.0.1:1/v1' } },
      models: { plain: { targets: [{ provider: 'gone', model: 'x' }] } },
    },
    'the spec',
  )
  models = await startModelGateway(readModelConfig(env), settings, {}, logger)
}, 240_000)

afterAll(async () => {
  await models?.close()
  await gateway?.close()
  await projection?.close()
  await runs?.close()
  await engine?.owner.close()
  await sender?.close()
  await identityProcess?.stop()
  for (const log of Object.values(logs ?? {})) await log.close()
  await pool?.end()
  await postgres?.stop()
  await redis?.stop()
})

const sockets = new Set<WebSocket>()
afterEach(() => {
  for (const socket of sockets) socket.terminate()
  sockets.clear()
})

type As = { readonly key: string } | { readonly user: string }
const headersOf = (as: As): Record<string, string> =>
  'key' in as ? { authorization: `Bearer ${as.key}` } : { 'x-spec-user': as.user }

const call = async (as: As, method: string, path: string, body?: unknown, url = gateway.url) => {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { ...headersOf(as), ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  })
  const text = await response.text()
  // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
  return { status: response.status, body: (text ? JSON.parse(text) : null) as any }
}
const local: As = { key: localKey }
const modelCall = async (as: As) => (await call(as, 'GET', '/v1/models', undefined, models.url)).status

const send = (aggregate: string, of: string, { type, data }: IdentityContextCommand) =>
  sender.send({
    id: logs.identity.context.ids('command'),
    type,
    data,
    aggregate,
    tenant: of,
    actor: 'system',
    correlationId: 'spec',
  })

const scopes = { permissions: ['executions:read', 'models:use', 'tokens:write'] }
let count = 0

/** A key for everything that is tried here. */
const newKey = async () => {
  const { id, key } = await eventually(async () => {
    const { status, body } = await call(local, 'POST', '/v1/keys', { name: 'x', scopes })
    expect(status, JSON.stringify(body)).toBe(201)
    return body as { id: string; key: string }
  }, patient)
  return { id, as: { key } }
}
/** Somebody who is a member of the tenant, with a session. */
const newMember = async () => {
  const userId = `usr_rights${++count}`
  const subject = createHash('sha256').update(userId).digest('hex')
  const login = { method: 'magic_link', issuer: 'omium', subject } as const
  const user = aggregateKey('user', platformTenant, userId)
  await send(user, platformTenant, {
    type: 'RegisterUser',
    data: { address: subject, email: 'v1.spec.1.spec', login, tenant: { id: `ten_home${count}`, name: 'Home' } },
  })
  const home = aggregateKey('tenant', tenant, tenant)
  const invitationId = `inv_${userId}`
  const invitation = { invitationId, address: subject, email: 'v1.spec.1.spec', expiresAt: Date.now() + 3_600_000 }
  await send(home, tenant, { type: 'InviteMember', data: { ...invitation, role: 'developer' } })
  await send(home, tenant, { type: 'AcceptInvitation', data: { invitationId, userId, address: subject } })
  await send(user, platformTenant, {
    type: 'StartSession',
    data: {
      sessionId: `ses_${userId}`,
      tenant,
      login,
      amr: ['email'],
      authenticatedAt: Date.now(),
      expiresAt: Date.now() + 3_600_000,
      client: 'browser',
    },
  })
  const as: As = { user: userId }
  await eventually(async () => expect((await call(as, 'GET', '/v1/executions')).status).toBe(200), patient)
  return { userId, as }
}
const tokenOf = async (as: As, audience: 'gateway' | 'models'): Promise<As> => {
  const permissions = [audience === 'models' ? 'models:use' : 'executions:read']
  return eventually(async () => {
    const { status, body } = await call(as, 'POST', '/v1/service-tokens', { audience, permissions })
    expect(status, JSON.stringify(body)).toBe(201)
    return { key: body.token as string }
  }, patient)
}

/** A run, and both kinds of streams of it. */
const openStreams = async (as: As) => {
  const id = `watched-${++count}`
  const request = { executionId: id, agentId: 'writer', input: { inline: {} }, requestHash: 'x', options: {} }
  await engine.engine.write(tenant, id, { type: 'ExecutionRequested', data: request } as ExecutionContextEvent, started)
  await eventually(async () => expect((await call(as, 'GET', `/v1/executions/${id}`)).status).toBe(200), patient)
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/stream`, { headers: headersOf(as) })
  sockets.add(socket)
  const closed = new Promise<number>((resolve) => socket.on('close', resolve))
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'subscribe', subscription: 'a', execution: id }))
  const response = await fetch(`${gateway.url}/v1/executions/${id}/events`, {
    headers: { ...headersOf(as), accept: 'text/event-stream' },
  })
  expect(response.status).toBe(200)
  const ended = response.text()
  return { closed, ended }
}

const inTime = async <T>(what: string, promise: Promise<T>, begin: number): Promise<T> => {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what} took too long`)), effectMs - (performance.now() - begin))
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
const refusedInTime = (what: string, ask: () => Promise<number>, status: number, begin: number) =>
  inTime(
    what,
    eventually(async () => expect(await ask()).toBe(status), { timeoutMs: effectMs }),
    begin,
  )

const outages: [string, down: () => unknown, up: () => unknown][] = [
  ['nothing is down', quiet, quiet],
  ['PostgreSQL hangs', () => postgres.hang(true), () => postgres.hang(false)],
  ['PostgreSQL is killed', () => postgres.kill(), () => postgres.restart()],
  ['Redis hangs', () => redis.hang(true), () => redis.hang(false)],
  ['Redis is killed', () => redis.kill(), () => redis.restart()],
  [
    'the read model stands still',
    () => projection.close(),
    async () => {
      projection = await followIdentity()
    },
  ],
]

it.each(outages)(
  'a revoked key, an ended session and a removed member are out within five seconds while %s',
  async (_what, down, up) => {
    const [key, member, leaver] = [await newKey(), await newMember(), await newMember()]
    const [toGateway, toModels] = [await tokenOf(leaver.as, 'gateway'), await tokenOf(leaver.as, 'models')]
    const streams = await openStreams(key.as)
    const theirs = await openStreams(member.as)
    for (const as of [key.as, toModels]) expect(await modelCall(as)).toBe(200)
    const ask = (as: As) => async () => (await call(as, 'GET', '/v1/me')).status
    for (const as of [key.as, member.as, toGateway]) expect(await ask(as)()).toBe(200)
    await down()
    try {
      // who may, still may, as far as that can be known
      const mays = [await ask(key.as)(), await modelCall(key.as)]
      expect(mays).toEqual([200, 200])
      const begin = performance.now()
      expect((await call(local, 'DELETE', `/v1/keys/${key.id}`)).status).toBe(200)
      await send(aggregateKey('tenant', tenant, tenant), tenant, {
        type: 'RemoveMember',
        data: { userId: member.userId, why: 'removed' },
      })
      await send(aggregateKey('user', platformTenant, leaver.userId), platformTenant, {
        type: 'EndSession',
        data: { sessionId: `ses_${leaver.userId}`, why: 'signed_out' },
      })
      await Promise.all([
        refusedInTime('the key at the gateway', ask(key.as), 401, begin),
        refusedInTime('the key at the model gateway', () => modelCall(key.as), 401, begin),
        refusedInTime('the session at the gateway', ask(toGateway), 401, begin),
        refusedInTime('the session at the model gateway', () => modelCall(toModels), 401, begin),
        refusedInTime('the member', async () => (await call(member.as, 'GET', '/v1/executions')).status, 403, begin),
        inTime("the key's events", streams.ended, begin),
        inTime("the member's events", theirs.ended, begin),
      ])
      expect(await inTime("the key's socket", streams.closed, begin)).toBe(4001)
      expect(await inTime("the member's socket", theirs.closed, begin)).toBe(4001)
    } finally {
      await up()
    }
  },
  120_000,
)
