import { createHash, randomBytes } from 'node:crypto'
import { putTenants } from '@omium/access/testing'
import {
  eventually,
  freshDatabase,
  freshPrefix,
  freshSecrets,
  gatewayDatabaseUrl,
  newApiKey,
  type ServiceHandle,
  spawnService,
  testStack,
} from '@omium/dev/testing'
import { type ContextOwner, openTail } from '@omium/log'
import { migrate } from '@omium/migrations'
import { createS3ObjectStore, type S3Options } from '@omium/payloads'
import { checkpointsProjection } from '@omium/projection-checkpoints'
import { executionsProjection } from '@omium/projection-executions'
import { createPool, openLog, type RunningProjection, runProjection, verify } from '@omium/projection-kit'
import {
  aggregateKey,
  checkpointContext,
  checkpointObjectsPrefix,
  type ExecutionContextEvent,
  executionContext,
  hashJson,
  identityContext,
  recoveryContext,
  webhookContext,
  workflowContext,
} from '@omium/schemas'
import type { Pool } from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig } from '../src/config.ts'
import { startGateway } from '../src/gateway.ts'
import { ScriptedEngine } from './scripted-engine.ts'

/** The real log, database, object store and checkpoint manager; a scripted engine in place of runs. */
const partitions = 2
const keyA = newApiKey()
const keyB = newApiKey()
const encryptionKeys = `k1:${randomBytes(32).toString('base64')}`

let pool: Pool
let logs: Record<
  'execution' | 'checkpoint' | 'recovery' | 'workflow' | 'identity' | 'webhook',
  Awaited<ReturnType<typeof openLog>>
>
let gateway: Awaited<ReturnType<typeof startGateway>>
let engine: ScriptedEngine
let owner: ContextOwner
let projections: RunningProjection[]
let manager: ServiceHandle
let objects: Awaited<ReturnType<typeof createS3ObjectStore>>
let env: Record<string, string>

const startManager = () =>
  spawnService(
    'consumers/checkpoint-manager/src/main.ts',
    { ...env, OMIUM_CHECKPOINTS_PORT: '0' },
    { readyLine: /"msg":"ready"/ },
  )

beforeAll(async () => {
  const stack = testStack()
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  const secrets = freshSecrets()
  await putTenants(databaseUrl, secrets, { tenant: 'ten_a', apiKey: keyA }, { tenant: 'ten_b', apiKey: keyB })
  pool = createPool(databaseUrl)
  const bucket = freshPrefix()
  const s3: S3Options = { ...stack.s3, bucket }
  env = {
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
    OMIUM_S3_BUCKET: bucket,
    OMIUM_S3_ACCESS_KEY_ID: stack.s3.accessKeyId,
    OMIUM_S3_SECRET_ACCESS_KEY: stack.s3.secretAccessKey,
    OMIUM_OWNER_SESSION_TIMEOUT_MS: '1500',
    OMIUM_GATEWAY_PORT: '0',
    OMIUM_ENCRYPTION_KEYS: encryptionKeys,
  }
  const onNotice = () => undefined
  logs = {
    execution: await openLog(env, executionContext, 'checkpoints-spec', onNotice),
    checkpoint: await openLog(env, checkpointContext, 'checkpoints-spec', onNotice),
    recovery: await openLog(env, recoveryContext, 'checkpoints-spec', onNotice),
    workflow: await openLog(env, workflowContext, 'checkpoints-spec', onNotice),
    identity: await openLog(env, identityContext, 'checkpoints-spec', onNotice),
    webhook: await openLog(env, webhookContext, 'checkpoints-spec', onNotice),
  }
  objects = await createS3ObjectStore(s3)
  ;({ engine, owner } = await ScriptedEngine.start(logs.execution.context, partitions, 'ws://127.0.0.1:1'))
  const common = { pool, databaseUrl, onNotice }
  projections = [
    await runProjection({ definition: executionsProjection, log: logs.execution, ...common }),
    await runProjection({ definition: checkpointsProjection, log: logs.checkpoint, ...common }),
  ]
  gateway = await startGateway({ ...readConfig(env), commandTimeoutMs: 20_000 }, logs, pino({ level: 'silent' }))
  manager = await startManager()
  await eventually(() => expect(engine.owns).toBe(partitions), { timeoutMs: 30_000 })
})

afterAll(async () => {
  await gateway?.close()
  await manager?.kill()
  await Promise.all((projections ?? []).map((projection) => projection.close()))
  await owner?.close()
  await Promise.all(Object.values(logs ?? {}).map((log) => log.close()))
  await objects?.close()
  await pool?.end()
})

const ask = async (method: string, path: string, body: unknown, key: string) => {
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
  return { status: response.status, body: (text ? JSON.parse(text) : null) as any }
}
/** As clients do: a gateway that is overloaded, which a state of 50 MiB can do to it, is asked again. */
const call = (method: string, path: string, body?: unknown, key = keyA) =>
  eventually(
    async () => {
      const answer = await ask(method, path, body, key)
      expect(answer.status).not.toBe(503)
      return answer
    },
    { timeoutMs: 60_000 },
  )
const put = (thread: string, id: string, state: unknown, more: object = {}) =>
  call('POST', '/v1/checkpoints', { thread, id, state: { json: state }, ...more })
const list = async (query: string) => (await call('GET', `/v1/checkpoints?${query}`)).body.items as { id: string }[]
const ids = (items: { id: string }[]) => items.map(({ id }) => id)

/** keys of a thread's objects, really there */
const stored = (thread: string) => objects.list(`${checkpointObjectsPrefix}ten_a/${thread}/`)
const keyOf = async (thread: string, state: unknown) => {
  const { sha256 } = (await call('GET', `/v1/checkpoints?thread=${thread}`)).body.items.find(
    (item: { sha256: string }) => item.sha256 === shaOf(state),
  )
  return (await stored(thread)).find((key) => key.endsWith(sha256)) ?? ''
}
const shaOf = (state: unknown) => hashJson(state)
const flipOneBit = async (key: string, at = -1) => {
  const body = Buffer.from(await objects.get(key))
  const index = at < 0 ? body.length + at : at
  body[index] = (body[index] ?? 0) ^ 1
  await objects.put(key, body)
}
const types = async (thread: string) => {
  const { context } = logs.checkpoint
  const ends = await context.transport.endOffsets(`${context.topicPrefix}.checkpoint.events`)
  const found: { type: string; data: Record<string, unknown> }[] = []
  for (const [partition, end] of ends) {
    if (end === 0) continue
    const tail = await openTail(context, [{ partition, fromOffset: 0 }])
    for (let batch = await tail.next(); batch; batch = await tail.next()) {
      for (const { envelope, type, data } of batch.events) {
        if (envelope.aggregate === aggregateKey('thread', 'ten_a', thread) && envelope.version > 0) {
          found.push({ type, data: data as Record<string, unknown> })
        }
      }
      if (batch.nextOffset >= end) break
    }
    await tail.close()
  }
  return found
}

describe('a checkpoint', () => {
  it('comes back as it was, the same made twice is one, and another state of its id is refused', async () => {
    const state = { plan: ['a', 'b'], '__proto__ ': 1, text: 'ü\u0000\ud83d\ude00' }
    const first = await put('basics', 'c1', state, { label: 'planned', metadata: { step: 1, note: 'x\u0000y' } })
    expect(first).toMatchObject({ status: 201, body: { thread: 'basics', checkpoint: 'c1', deduplicated: false } })
    expect(await put('basics', 'c1', state)).toMatchObject({ status: 200, body: { deduplicated: true } })
    expect(await put('basics', 'c1', { other: 1 })).toMatchObject({
      status: 409,
      body: { code: 'checkpoint_conflict' },
    })
    expect((await call('GET', '/v1/checkpoints/basics/c1')).body).toMatchObject({
      id: 'c1',
      status: 'intact',
      label: 'planned',
      state: { json: state },
      writes: [],
    })
    expect(await stored('basics')).toHaveLength(2)
  })
  it('holds bytes of any kind, encrypted where they are stored', async () => {
    const bytes = randomBytes(300_000)
    const state = { format: 'msgpack', base64: bytes.toString('base64') }
    await call('POST', '/v1/checkpoints', { thread: 'bytes', id: 'c1', state })
    expect((await call('GET', '/v1/checkpoints/bytes/latest')).body.state).toEqual(state)
    const [key = ''] = await stored('bytes')
    const raw = await objects.get(key)
    expect(raw.includes(bytes.subarray(1000, 1100))).toBe(false)
    const wrong = { thread: 'bytes', id: 'c2', state: { format: 'x', base64: 'not base64!' } }
    expect(await call('POST', '/v1/checkpoints', wrong)).toMatchObject({ status: 422 })
    expect(await call('POST', '/v1/checkpoints', { ...wrong, id: 'latest' })).toMatchObject({ status: 422 })
  })
  it('of 50 MiB is stored, and one that is larger is refused', async () => {
    const large = (bytes: number) => ({ format: 'x', base64: Buffer.alloc(bytes, 7).toString('base64') })
    const limit = 50 * 1024 * 1024
    expect(await call('POST', '/v1/checkpoints', { thread: 'large', id: 'a', state: large(limit) })).toMatchObject({
      status: 201,
    })
    expect((await call('GET', '/v1/checkpoints/large/a')).body.bytes).toBe(limit)
    expect(await call('POST', '/v1/checkpoints', { thread: 'large', id: 'b', state: large(limit + 1) })).toMatchObject({
      status: 413,
      body: { code: 'payload_too_large' },
    })
  }, 120_000)
  it('is listed newest first, page by page, and found by thread, namespace, metadata and id', async () => {
    for (const n of [3, 1, 2]) await put('lists', `c${n}`, n, { metadata: { n, odd: n % 2 === 1 } })
    await put('lists', 'c9', 9, { namespace: 'sub|graph:1' })
    expect(ids(await list('thread=lists&namespace='))).toEqual(['c2', 'c1', 'c3'])
    expect(ids(await list('thread=lists&order=id&before=c3'))).toEqual(['c2', 'c1'])
    expect(ids(await list(`thread=lists&metadata=${encodeURIComponent('{"odd":true}')}`))).toEqual(['c1', 'c3'])
    expect(ids(await list(`thread=lists&namespace=${encodeURIComponent('sub|graph:1')}`))).toEqual(['c9'])
    for (const query of ['thread=lists&limit=1', 'limit=1&order=id', 'limit=2']) {
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const { body } = await call('GET', `/v1/checkpoints?${query}${cursor ? `&cursor=${cursor}` : ''}`)
        seen.push(...body.items.map((item: { thread: string; id: string }) => `${item.thread}/${item.id}`))
        cursor = body.nextCursor
      } while (cursor !== undefined)
      expect(new Set(seen).size, query).toBe(seen.length)
      expect(
        seen.filter((one) => one.startsWith('lists/')),
        query,
      ).toHaveLength(4)
    }
    expect(await call('GET', '/v1/checkpoints?cursor=bm9wZQ')).toMatchObject({ status: 422 })
    expect(await call('GET', '/v1/checkpoints?metadata=[1]')).toMatchObject({ status: 422 })
  })
  it('has what tasks wrote on top of it, in order, each once', async () => {
    await put('writes', 'c1', 1)
    const add = (taskId: string, value: unknown) =>
      call('POST', '/v1/checkpoints/writes/c1/writes', {
        taskId,
        writes: [{ index: 0, channel: 'ch' }],
        state: { json: [value] },
      })
    await add('t1', 'one')
    await add('t2', 'two')
    expect(await add('t1', 'one')).toMatchObject({ body: { deduplicated: true } })
    const { writes } = (await call('GET', '/v1/checkpoints/writes/c1')).body
    expect(writes).toMatchObject([
      { taskId: 't1', state: { json: ['one'] } },
      { taskId: 't2', state: { json: ['two'] } },
    ])
  })
  it('that is pinned or built upon cannot be deleted; others and whole threads can', async () => {
    await put('keep', 'a', 1)
    await put('keep', 'b', 2, { parent: 'a', needsParent: true })
    await call('POST', '/v1/checkpoints/keep/b/pin', { holder: 'fork:x' })
    const remove = (id: string) => call('POST', '/v1/threads/keep/delete', { checkpoints: [{ id }] })
    expect(await remove('a')).toMatchObject({ status: 409, body: { code: 'checkpoint_needed' } })
    expect(await remove('b')).toMatchObject({ status: 409, body: { detail: expect.stringContaining('fork:x') } })
    await call('POST', '/v1/checkpoints/keep/b/unpin', { holder: 'fork:x' })
    expect(await remove('b')).toMatchObject({ status: 200 })
    expect(ids(await list('thread=keep'))).toEqual(['a'])
    await call('DELETE', '/v1/threads/keep')
    expect(await list('thread=keep')).toEqual([])
    expect((await put('keep', 'a', 5)).status).toBe(201)
    expect((await call('GET', '/v1/checkpoints/keep/a')).body.state).toEqual({ json: 5 })
  })
  it('goes by retention, when it is set and as others come', async () => {
    for (const n of [1, 2, 3]) await put('short', `c${n}`, n)
    await call('PUT', '/v1/threads/short/retention', { keepLast: 2 })
    expect(ids(await list('thread=short'))).toEqual(['c3', 'c2'])
    await put('short', 'c4', 4)
    expect(ids(await list('thread=short'))).toEqual(['c4', 'c3'])
    expect((await call('GET', '/v1/threads/short/retention')).body).toEqual({ retention: { keepLast: 2 } })
  })
  it('can be gone back to: newer ones are superseded and the latest is that one', async () => {
    for (const n of [1, 2, 3]) await put('back', `c${n}`, n)
    expect((await call('POST', '/v1/checkpoints/back/c1/rollback', {})).status).toBe(200)
    expect((await call('GET', '/v1/checkpoints/back/latest')).body).toMatchObject({ id: 'c1' })
    expect(await list('thread=back')).toMatchObject([
      { id: 'c3', status: 'superseded' },
      { status: 'superseded' },
      { status: 'intact' },
    ])
    expect(ids(await list('thread=back&superseded=false'))).toEqual(['c1'])
  })
})

describe('another tenant', () => {
  it('finds nothing of what is not its own, and changes nothing', async () => {
    await put('mine', 'c1', { secret: 1 })
    for (const [method, path, body] of [
      ['GET', '/v1/checkpoints/mine/c1', undefined],
      ['GET', '/v1/checkpoints/mine/latest', undefined],
      ['POST', '/v1/checkpoints/mine/c1/verify', {}],
      ['POST', '/v1/checkpoints/mine/c1/rollback', {}],
      ['POST', '/v1/checkpoints/mine/c1/pin', { holder: 'x' }],
    ] as const) {
      expect(await call(method, path, body, keyB), path).toMatchObject({
        status: 404,
        body: { code: 'checkpoint_unknown' },
      })
    }
    expect((await call('GET', '/v1/checkpoints?thread=mine', undefined, keyB)).body.items).toEqual([])
    expect((await call('GET', '/v1/checkpoints', undefined, keyB)).body.items).toEqual([])
    await call('DELETE', '/v1/threads/mine', undefined, keyB)
    await call('POST', '/v1/threads/mine/delete', { checkpoints: [{ id: 'c1' }] }, keyB)
    await call('POST', '/v1/checkpoints', { thread: 'mine', id: 'c1', state: { json: 'theirs' } }, keyB)
    expect((await call('GET', '/v1/checkpoints/mine/c1')).body.state).toEqual({ json: { secret: 1 } })
    expect((await call('GET', '/v1/checkpoints/mine/c1', undefined, keyB)).body.state).toEqual({ json: 'theirs' })
  })
})

describe('a damaged object', () => {
  const damage = {
    'is missing': (key: string) => objects.remove(key),
    'is cut short': async (key: string) => objects.put(key, (await objects.get(key)).subarray(0, 20)),
    'is empty': (key: string) => objects.put(key, Buffer.alloc(0)),
    'has another byte at its end': (key: string) => flipOneBit(key),
    'names another key': (key: string) => flipOneBit(key, 'OMIUM.GCM'.length + 1),
    'is another state in the clear': (key: string) => objects.put(key, Buffer.from('9')),
    'was put in the place of another one': async (key: string) => {
      const thread = key.split('/')[2] ?? ''
      const other = (await keyOf(thread, 1)) as string
      await objects.put(key, await objects.get(other))
    },
    'is that of another tenant': async (key: string) => {
      const thread = key.split('/')[2] ?? ''
      await call('POST', '/v1/checkpoints', { thread, id: 'same', state: { json: 2 } }, keyB)
      const [theirs = ''] = await objects.list(`${checkpointObjectsPrefix}ten_b/${thread}/`)
      await objects.put(key, await objects.get(theirs))
    },
  }
  for (const [what, harm] of Object.entries(damage)) {
    it(`that ${what} is noticed, recorded, and an older state given in place of the latest`, async () => {
      const thread = `hurt-${what.replaceAll(' ', '-')}`
      for (const n of [1, 2, 3]) await put(thread, `c${n}`, n)
      for (const n of [2, 3]) await harm(await keyOf(thread, n))
      expect((await call('GET', `/v1/checkpoints/${thread}/latest`)).body).toMatchObject({
        id: 'c1',
        insteadOf: 'c3',
        state: { json: 1 },
      })
      const found = what === 'is missing' ? 'missing' : 'damaged'
      expect(
        (await types(thread)).filter(({ type }) => type === 'CheckpointCorrupted').map(({ data }) => data),
      ).toEqual([
        { namespace: '', checkpointId: 'c3', found, fallbackId: 'c1' },
        { namespace: '', checkpointId: 'c2', found, fallbackId: 'c1' },
      ])
      expect(await call('GET', `/v1/checkpoints/${thread}/c3`)).toMatchObject({
        status: 410,
        body: { code: 'checkpoint_corrupt', detail: expect.stringContaining('c1') },
      })
      expect((await call('POST', `/v1/checkpoints/${thread}/c3/verify`, {})).body).toEqual({
        intact: false,
        found,
        rebuilt: false,
      })
      expect((await call('POST', `/v1/checkpoints/${thread}/c1/verify`, {})).body).toEqual({
        intact: true,
        rebuilt: false,
      })
      expect(await list(`thread=${thread}`)).toMatchObject([
        { status: 'corrupted' },
        { status: 'corrupted' },
        { status: 'intact' },
      ])
    })
  }
})

describe('damage beside the state itself', () => {
  it('two objects that changed places are two findings', async () => {
    for (const n of [1, 2, 3]) await put('swapped', `c${n}`, n)
    const [two, three] = [await keyOf('swapped', 2), await keyOf('swapped', 3)]
    const [bodyOfTwo, bodyOfThree] = [await objects.get(two), await objects.get(three)]
    await objects.put(two, bodyOfThree)
    await objects.put(three, bodyOfTwo)
    expect((await call('GET', '/v1/checkpoints/swapped/latest')).body).toMatchObject({ id: 'c1', insteadOf: 'c3' })
    expect(await list('thread=swapped')).toMatchObject([
      { status: 'corrupted' },
      { status: 'corrupted' },
      { status: 'intact' },
    ])
  })
  it('what was written on top of a state counts as much as the state', async () => {
    for (const n of [1, 2]) await put('torn', `c${n}`, n)
    const writes = { taskId: 't', writes: [{ index: 0, channel: 'ch' }], state: { json: ['written'] } }
    await call('POST', '/v1/checkpoints/torn/c2/writes', writes)
    const key = (await stored('torn')).find((one) => one.endsWith(shaOf(['written']))) ?? ''
    await objects.put(key, (await objects.get(key)).subarray(0, 40))
    expect((await call('GET', '/v1/checkpoints/torn/latest')).body).toMatchObject({ id: 'c1', insteadOf: 'c2' })
    expect(await call('GET', '/v1/checkpoints/torn/c2')).toMatchObject({ status: 410 })
  })
  it('what builds on a damaged state is passed over, once that is known', async () => {
    await put('line', 'c1', 1)
    await put('line', 'c2', 2, { parent: 'c1' })
    await put('line', 'c3', 3, { parent: 'c2', needsParent: true })
    await put('line', 'c4', 4, { parent: 'c3', needsParent: true })
    expect((await call('GET', '/v1/checkpoints/line/latest')).body.id).toBe('c4')
    await objects.remove(await keyOf('line', 2))
    // its program puts the latest together from those that it builds on, and finds out
    expect(await call('GET', '/v1/checkpoints/line/c2')).toMatchObject({ status: 410 })
    for (const order of ['created', 'id']) {
      expect((await call('GET', `/v1/checkpoints/line/latest?order=${order}`)).body).toMatchObject({
        id: 'c1',
        insteadOf: 'c4',
      })
    }
  })
  it('is said plainly when nothing is intact any more', async () => {
    for (const n of [1, 2]) await put('lost', `c${n}`, n)
    for (const key of await stored('lost')) await objects.remove(key)
    expect(await call('GET', '/v1/checkpoints/lost/latest')).toMatchObject({
      status: 410,
      body: { code: 'checkpoint_corrupt', detail: expect.stringContaining('no older one is intact') },
    })
  })
})

it('takes any text in names and values of metadata, and finds it', async () => {
  const metadata = { 'a\ud800': 'x\udfff', 'nul\0': '\0' }
  await put('odd', 'c1', 1, { metadata, label: 'l\0\ud800' })
  expect(await list('thread=odd')).toHaveLength(1)
  expect(await list(`thread=odd&metadata=${encodeURIComponent(JSON.stringify(metadata))}`)).toHaveLength(1)
})

describe('a run that asks for checkpoints', () => {
  const step = (n: number, kind = 'step', output: unknown = { n }): ExecutionContextEvent => ({
    type: 'StepCompleted',
    data: {
      attempt: 1,
      path: `step#${n}`,
      name: 'step',
      kind: kind as 'step',
      stepAttempt: 1,
      requestHash: `h${n}`,
      output: { inline: output as null },
      startedAt: Date.now(),
      durationMs: 1,
    },
  })
  const requested = (executionId: string, every: 'step' | 'never'): ExecutionContextEvent => ({
    type: 'ExecutionRequested',
    data: {
      executionId,
      agentId: 'a',
      input: { inline: null },
      requestHash: 'h',
      options: { priority: 0, checkpoints: { every } },
    },
  })
  const started: ExecutionContextEvent = { type: 'ExecutionStarted', data: { attempt: 1, workerId: 'w' } }
  const checkpointsOf = async (run: string) =>
    (await call('GET', `/v1/executions/${run}/checkpoints`)).body.items as { id: string; label: string }[]

  it('gets one after each result, with the journal as a fork would take it over', async () => {
    await engine.write('ten_a', 'auto', requested('auto', 'step'), started, step(1), step(2))
    await eventually(async () => expect(await checkpointsOf('auto')).toHaveLength(2), { timeoutMs: 20_000 })
    expect(await checkpointsOf('auto')).toMatchObject([
      {
        id: 'run-00000004',
        kind: 'run',
        parent: 'run-00000003',
        point: { executionId: 'auto', version: 4, path: 'step#2' },
      },
      { id: 'run-00000003' },
    ])
    expect((await call('GET', '/v1/checkpoints/auto/run-00000004')).body.state.json).toEqual([
      { path: 'step#1', kind: 'step', requestHash: 'h1', status: 'completed', value: { n: 1 } },
      { path: 'step#2', kind: 'step', requestHash: 'h2', status: 'completed', value: { n: 2 } },
    ])
    expect(await call('GET', '/v1/executions/auto/checkpoints', undefined, keyB)).toMatchObject({ status: 404 })
  })
  it('has a lost checkpoint made again from the log, the same to the byte', async () => {
    const before = (await call('GET', '/v1/checkpoints/auto/run-00000003')).body
    for (const key of await stored('auto')) await objects.remove(key)
    expect((await call('POST', '/v1/checkpoints/auto/run-00000004/verify', {})).body).toEqual({
      intact: false,
      found: 'missing',
      rebuilt: true,
    })
    const after = (await call('GET', '/v1/checkpoints/auto/run-00000003')).body
    expect(after).toMatchObject({ sha256: before.sha256, state: before.state, status: 'intact' })
    expect((await types('auto')).map(({ type }) => type)).toEqual([
      'CheckpointCreated',
      'CheckpointCreated',
      'CheckpointCorrupted',
      'CheckpointRebuilt',
      'CheckpointCorrupted',
      'CheckpointRebuilt',
    ])
  })
  it('whose journal is lost too gives an older checkpoint in place of the latest', async () => {
    const large = 'x'.repeat(100_000)
    const body = Buffer.from(JSON.stringify(large))
    const sha256 = createHash('sha256').update(body).digest('hex')
    const key = `payloads/ten_a/gone/${sha256}`
    await objects.put(key, body)
    const second = step(2)
    if (second.type !== 'StepCompleted') throw new Error('a step')
    const output = { ref: { key, bytes: body.length, sha256 } }
    await engine.write('ten_a', 'gone', requested('gone', 'step'), started, step(1), {
      ...second,
      data: { ...second.data, output },
    })
    await eventually(async () => expect(await checkpointsOf('gone')).toHaveLength(2), { timeoutMs: 20_000 })
    await objects.remove(key)
    const newest = (await call('GET', '/v1/checkpoints/gone/latest')).body
    await objects.remove((await stored('gone')).find((one) => one.endsWith(newest.sha256)) ?? '')
    const fallback = (await call('GET', '/v1/checkpoints/gone/latest')).body
    expect(fallback).toMatchObject({ id: 'run-00000003', insteadOf: newest.id })
    const found = (await types('gone')).filter(({ type }) => type !== 'CheckpointCreated')
    expect(found.slice(0, 3)).toMatchObject([
      { type: 'CheckpointCorrupted', data: { checkpointId: newest.id, found: 'missing' } },
      { type: 'CheckpointRebuildFailed', data: { why: expect.stringContaining('object_missing') } },
      { type: 'CheckpointCorrupted', data: { checkpointId: newest.id, fallbackId: 'run-00000003' } },
    ])
  })
  it('keeps every state that the run itself gives, whatever it asks for', async () => {
    await engine.write(
      'ten_a',
      'explicit',
      requested('explicit', 'never'),
      started,
      step(1),
      step(2, 'checkpoint', { draft: 7 }),
    )
    await eventually(async () => expect(await checkpointsOf('explicit')).toHaveLength(1), { timeoutMs: 20_000 })
    expect((await call('GET', '/v1/checkpoints/explicit/latest')).body).toMatchObject({
      id: 'state-00000004',
      kind: 'state',
      state: { json: { draft: 7 } },
      point: { path: 'step#2' },
    })
  })
  it('misses and repeats none when the manager is killed in the middle', async () => {
    const count = 30
    await engine.write('ten_a', 'killed', requested('killed', 'step'), started)
    const write = async (from: number, to: number) => {
      for (let n = from; n <= to; n++) await engine.write('ten_a', 'killed', step(n))
    }
    const writing = write(1, count / 2)
    await eventually(async () => expect((await checkpointsOf('killed')).length).toBeGreaterThan(3), {
      timeoutMs: 20_000,
    })
    await manager.kill('SIGKILL')
    await writing
    await write(count / 2 + 1, count)
    manager = await startManager()
    await eventually(async () => expect((await checkpointsOf('killed')).length).toBeGreaterThanOrEqual(count), {
      timeoutMs: 40_000,
    })
    const made = (await types('killed')).map(({ type, data }) => `${type} ${data['checkpointId']}`)
    expect(made).toEqual(
      Array.from({ length: count }, (_, i) => `CheckpointCreated run-${String(i + 3).padStart(8, '0')}`),
    )
  })
  it('leaves a read model that is exactly what the log says', async () => {
    const { agrees, difference } = await verify({ definition: checkpointsProjection, log: logs.checkpoint, pool }).then(
      (comparison) => ({ agrees: comparison.equal, difference: comparison }),
    )
    expect(agrees, JSON.stringify(difference)).toBe(true)
  })
})
