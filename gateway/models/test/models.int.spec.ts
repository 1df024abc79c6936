import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { putTenants } from '@omium/access/testing'
import { freePort } from '@omium/dev'
import {
  eventually,
  freshDatabase,
  freshPrefix,
  freshSecrets,
  gatewayDatabaseUrl,
  newApiKey,
  testStack,
} from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import { createPool } from '@omium/projection-kit'
import type { Permission } from '@omium/schemas'
import { openAiCompatible } from '@omium/sdk'
import OpenAI from 'openai'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseModelSettings, readConfig, startModelGateway } from '../src/index.ts'
import {
  type Answer,
  chunk,
  completion,
  drop,
  events,
  hang,
  json,
  refusal,
  ScriptedProvider,
  usageChunk,
} from './scripted-provider.ts'

/** The service on the real database and Redis; the providers are scripted servers that speak their wire formats. */
const keyA = newApiKey()
const keyB = newApiKey()
/** of a tenant to which a policy forbids models */
const keyC = newApiKey()
const folder = mkdtempSync(join(tmpdir(), 'omium-policies-'))
const policiesFile = join(folder, 'policies.cedar')
const secrets = freshSecrets()
const canary = `canary-${randomBytes(12).toString('hex')}`
const first = await ScriptedProvider.listen()
const second = await ScriptedProvider.listen()
let gateway: Awaited<ReturnType<typeof startModelGateway>>
let redisGate: Gate
let databaseUrl: string
let pool: ReturnType<typeof createPool>
const written: string[] = []

/** Redis behind a port that can be closed. */
class Gate {
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  port = 0

  async open(target: URL): Promise<void> {
    this.#server = createServer((socket) => {
      const redis = connect(Number(target.port || 6379), target.hostname)
      this.#sockets.add(socket)
      socket.pipe(redis).pipe(socket)
      socket.on('error', () => redis.destroy())
      redis.on('error', () => socket.destroy())
      socket.on('close', () => redis.destroy())
    })
    // no connection of anybody takes it while it is closed
    this.port ||= await freePort()
    await new Promise<void>((resolve) => this.#server?.listen(this.port, '127.0.0.1', resolve))
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
    await closed
  }
}

/** longer than a request may take to be refused meanwhile */
const resetMs = 2_000
const target = (provider: string, model = 'gpt-4o') => ({ provider, model })
const settings = () =>
  parseModelSettings(
    {
      version: 1,
      providers: {
        first: { dialect: 'openai', baseUrl: `${first.url}/v1`, apiKey: 'env:CANARY' },
        second: { dialect: 'anthropic', baseUrl: second.url, apiKey: 'env:CANARY' },
        google: { dialect: 'gemini', baseUrl: `${second.url}/v1beta`, apiKey: 'env:CANARY' },
        narrow: { dialect: 'openai', baseUrl: `${first.url}/v1`, limits: { concurrency: 1 }, queue: 1 },
        metered: { dialect: 'openai', baseUrl: `${first.url}/v1`, limits: { requestsPerMinute: 2 } },
        gone: { dialect: 'openai', baseUrl: 'http://127.0.0.1:1/v1' },
      },
      models: {
        plain: { targets: [target('first')] },
        spare: { targets: [target('first'), target('second', 'claude-haiku-4-5')] },
        claude: { targets: [target('second', 'claude-haiku-4-5')] },
        gemini: { targets: [target('google', 'gemini-2.5-flash')] },
        // each is about one limit alone: on a busy machine a limit of time would be reached before the other one
        'hasty-*': { targets: [{ provider: 'first' }], timeouts: { firstByteMs: 150 } },
        'restless-*': { targets: [{ provider: 'first' }], timeouts: { idleMs: 150 } },
        'terse-*': { targets: [{ provider: 'first' }], maxAnswerBytes: 4096 },
        narrow: { targets: [target('narrow')] },
        metered: { targets: [target('metered')] },
        away: { targets: [target('gone'), target('first')] },
        'fragile-*': { targets: [{ provider: 'first' }] },
        private: { targets: [target('first')], tenants: ['ten_a'] },
      },
      limits: { tenants: { ten_b: { requestsPerMinute: 5 } } },
      retries: { max: 2, budgetPercent: 100, firstDelayMs: 5, maxDelayMs: 300 },
      breaker: { minimumCalls: 4, resetMs, windowMs: 60_000 },
    },
    'the spec',
  )

beforeAll(async () => {
  const stack = testStack()
  databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  pool = createPool(databaseUrl)
  const tenants = { ten_a: keyA, ten_b: keyB, ten_c: keyC }
  await putTenants(databaseUrl, secrets, ...Object.entries(tenants).map(([tenant, apiKey]) => ({ tenant, apiKey })))
  const policy = '@id("no-models") forbid (principal in Tenant::"ten_c", action == Action::"models:use", resource);'
  writeFileSync(policiesFile, policy)
  redisGate = new Gate()
  const redis = new URL(stack.redisUrl)
  await redisGate.open(new URL(redis))
  redis.hostname = '127.0.0.1'
  redis.port = String(redisGate.port)
  const config = readConfig({
    ...secrets,
    OMIUM_KAFKA_BROKERS: stack.kafkaBrokers.join(','),
    OMIUM_SCHEMA_REGISTRY_URL: stack.registryUrl,
    OMIUM_PARTITIONS: '1',
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_GATEWAY_DATABASE_URL: gatewayDatabaseUrl(databaseUrl),
    OMIUM_REDIS_URL: redis.href,
    OMIUM_TOPIC_PREFIX: freshPrefix(),
    OMIUM_MODELS_PORT: '0',
    OMIUM_MODELS_LOG_PROMPTS: 'true',
    OMIUM_POLICIES_FILE: policiesFile,
  })
  // every line that is logged is kept, to look for the canary in
  const logger = pino({ level: 'debug' }, { write: (line) => void written.push(line) })
  gateway = await startModelGateway(config, settings(), { CANARY: canary }, logger)
})

afterAll(async () => {
  await gateway?.close()
  await redisGate?.close()
  await pool?.end()
  await first.close()
  await second.close()
  rmSync(folder, { recursive: true })
})

beforeEach(() => {
  first.play(completion('hello'))
  second.play(claudeSays('hello from the spare'))
})

const claudeSays = (text: string): Answer =>
  json(200, {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-haiku-4-5-20251001',
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    usage: { input_tokens: 100, output_tokens: 10 },
  })

/** Goes on and on, until somebody hangs up. */
const chatter: Answer = (_, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const timer = setInterval(() => response.write(`data: ${JSON.stringify(chunk({ content: 'x'.repeat(200) }))}\n\n`), 5)
  response.on('close', () => clearInterval(timer))
}

const clientOf = (key = keyA) => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, maxRetries: 0 })
const messages = [{ role: 'user' as const, content: 'Hi' }]

const call = async (
  body: object,
  { key = keyA, headers = {}, path = '/chat/completions', signal }: CallOptions = {},
) => {
  const response = await fetch(`${gateway.url}/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...headers },
    body: JSON.stringify({ model: 'plain', messages, ...body }),
    ...(signal && { signal }),
  })
  const text = await response.text()
  // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
  const read = (): any => (text.startsWith('{') ? JSON.parse(text) : text)
  return { status: response.status, headers: response.headers, body: read(), text }
}
interface CallOptions {
  key?: string
  headers?: Record<string, string>
  path?: string
  signal?: AbortSignal
}

describe('a call', () => {
  it('is answered with usage and cost, under the public name of the model', async () => {
    const { status, body, headers } = await call({ temperature: 0.3 })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      object: 'chat.completion',
      choices: [{ message: { content: 'hello' } }],
      usage: { prompt_tokens: 1000, completion_tokens: 10, omium_cost_micro_credits: 2600 },
    })
    expect([headers.get('x-omium-provider'), headers.get('x-omium-tries')]).toEqual(['first', '1'])
    expect(first.seen[0]).toMatchObject({
      path: '/v1/chat/completions',
      headers: { authorization: `Bearer ${canary}` },
      body: { model: 'gpt-4o', temperature: 0.3, messages },
    })
  })

  it('works with the official client: answers, tools and lists', async () => {
    const client = clientOf()
    const tools = [
      { type: 'function' as const, function: { name: 'f', parameters: { type: 'object', properties: {} } } },
    ]
    second.play(
      json(200, {
        id: 'msg_2',
        model: 'claude-haiku-4-5',
        content: [{ type: 'tool_use', id: 'toolu_1', name: 'f', input: { a: 1 } }],
        stop_reason: 'tool_use',
        usage: { input_tokens: 1, output_tokens: 1 },
      }),
    )
    const answer = await client.chat.completions.create({ model: 'claude', messages, tools })
    expect(answer.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { tool_calls: [{ id: 'toolu_1', function: { name: 'f', arguments: '{"a":1}' } }] },
    })
    expect(second.seen[0]).toMatchObject({ path: '/v1/messages', headers: { 'x-api-key': canary } })
    const listed = await client.models.list()
    expect(listed.data.map(({ id }) => id)).toContain('claude')
    expect((await client.models.retrieve('claude')).owned_by).toBe('second')
  })

  it('streams to the official client, with usage last', async () => {
    const parts = [
      chunk({ role: 'assistant', content: 'he' }),
      chunk({ content: 'llo' }),
      chunk({}, 'stop'),
      usageChunk,
    ]
    first.play(events(parts))
    const stream = await clientOf().chat.completions.create({
      model: 'plain',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })
    let text = ''
    let cost: unknown
    for await (const part of stream) {
      text += part.choices[0]?.delta.content ?? ''
      cost = (part.usage as { omium_cost_micro_credits?: number } | null)?.omium_cost_micro_credits ?? cost
    }
    expect([text, cost]).toEqual(['hello', 2600])
  })

  it('streams Gemini to the SDK, which takes the service at its word about cost', async () => {
    second.play((seen, response) => {
      const google = (text: string, more: object = {}) => ({
        responseId: 'r',
        modelVersion: 'gemini-2.5-flash',
        candidates: [{ content: { parts: [{ text }] }, ...more }],
      })
      expect(seen.path).toBe('/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse')
      const usageMetadata = { promptTokenCount: 1000, candidatesTokenCount: 100 }
      return events([google('he'), { ...google('llo', { finishReason: 'STOP' }), usageMetadata }], { done: false })(
        seen,
        response,
      )
    })
    const deltas: string[] = []
    const complete = openAiCompatible({ baseUrl: `${gateway.url}/v1`, apiKey: keyA })
    const answer = await complete(
      { model: 'gemini', messages },
      { signal: AbortSignal.timeout(10_000), onDelta: (text) => deltas.push(text) },
    )
    expect(deltas.join('')).toBe('hello')
    expect(answer).toMatchObject({ inputTokens: 1000, outputTokens: 100, costMicroCredits: 550 })
  })

  it('shows a stream no usage that it did not ask for', async () => {
    first.play(events([chunk({ content: 'x' }), chunk({}, 'stop'), usageChunk]))
    const { text } = await call({ stream: true })
    expect(text).not.toContain('usage')
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true)
  })

  it('embeds', async () => {
    first.play(
      json(200, {
        object: 'list',
        model: 'text-embedding-3-small',
        data: [{ object: 'embedding', index: 0, embedding: [0.5, 1] }],
        usage: { prompt_tokens: 100, total_tokens: 100 },
      }),
    )
    const { body } = await call({ input: 'x', messages: undefined }, { path: '/embeddings' })
    expect(body).toMatchObject({ data: [{ embedding: [0.5, 1] }], usage: { omium_cost_micro_credits: 2 } })
  })

  it('passes the idempotency key on to those who take it', async () => {
    await call({}, { headers: { 'idempotency-key': 'run/step#1' } })
    await call({}, { headers: { 'idempotency-key': 'run/step#1' } })
    await call({ temperature: 1 }, { headers: { 'idempotency-key': 'run/step#1' } })
    const keys = first.seen.map(({ headers }) => headers['idempotency-key'])
    expect(keys[0]).toMatch(/^[0-9a-f]{64}:[0-9a-f]{16}$/)
    // the same step with another request, as after a recovery: a key of its own
    expect([keys[1] === keys[0], keys[2] === keys[0]]).toEqual([true, false])
    await call({ model: 'claude' }, { headers: { 'idempotency-key': 'run/step#1' } })
    expect(second.seen[0]?.headers['idempotency-key']).toBeUndefined()
  })
})

describe('who may call', () => {
  it('has a key with a permission for it; one that reads may only look', async () => {
    const keyOf = async (permission: Permission) => {
      const apiKey = newApiKey()
      await putTenants(databaseUrl, secrets, { tenant: 'ten_a', apiKey, permissions: [permission] })
      return apiKey
    }
    for (const permission of ['models:use', 'workers:connect'] as const)
      expect((await call({}, { key: await keyOf(permission) })).status).toBe(200)
    const key = await keyOf('platform:read')
    expect((await call({}, { key })).body.error.code).toBe('forbidden')
    expect((await clientOf(key).models.list()).data.length).toBeGreaterThan(0)
  })

  it.each([
    ['nobody without a key', { key: newApiKey() }, 401, 'unauthenticated'],
    ['nobody whom the model is not for', { key: keyB, model: 'private' }, 404, 'not_found'],
  ])('is %s', async (_what, { key, ...body }: { key: string; model?: string }, status, code) => {
    const reply = await call(body, { key })
    expect([reply.status, reply.body.error.code]).toEqual([status, code])
    expect(first.seen).toEqual([])
  })

  it('is held to the policies of the installation', async () => {
    const { status, body } = await call({}, { key: keyC })
    expect([status, body.error]).toMatchObject([
      403,
      { type: 'permission_error', code: 'policy_denied', message: expect.stringContaining('no-models') },
    ])
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
    expect(metrics).toContain('omium_policy_denials_total{policy="no-models",reason="forbid"} 1')
  })

  it('sees only the own models', async () => {
    const names = async (key: string) => (await clientOf(key).models.list()).data.map(({ id }) => id)
    expect(await names(keyA)).toContain('private')
    expect(await names(keyB)).not.toContain('private')
  })

  it('is refused what could cost too much, before it is asked', async () => {
    const headers = { 'x-omium-max-cost-micro-credits': '10' }
    const { status, body } = await call({ max_tokens: 100 }, { headers })
    expect([status, body.error.code]).toEqual([402, 'budget_exceeded'])
    expect(first.seen).toEqual([])
    const estimate = await call({ max_tokens: 100 }, { path: '/estimates' })
    expect(estimate.body.worst_case_micro_credits).toBeGreaterThan(1000)
  })

  it('is told what is wrong with a request', async () => {
    expect((await call({ messages: 'x' })).body.error).toMatchObject({ code: 'invalid_request' })
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${keyA}` },
      body: '{',
    })
    expect((await response.json()) as object).toMatchObject({ error: { code: 'invalid_json' } })
  })
})

describe('a provider that fails', () => {
  it('is asked again, and recovers', async () => {
    first.play(refusal(500, 'oops', 'server_error'), drop(), completion('at last', 'recovering'))
    const { status, headers, body } = await call({ model: 'fragile-a' })
    expect([status, headers.get('x-omium-tries'), body.choices[0].message.content]).toEqual([200, '3', 'at last'])
  })

  it('gives way to the next one', async () => {
    first.play(refusal(503, 'overloaded', 'server_error'))
    const { body, headers } = await call({ model: 'spare' })
    expect(body.choices[0].message.content).toBe('hello from the spare')
    expect(body.usage.omium_cost_micro_credits).toBe(150)
    expect([headers.get('x-omium-provider'), first.seen.length]).toEqual(['second', 3])
  })

  it('gives way at once when its key is bad, when it cannot be reached, when it cuts a stream off before it began', async () => {
    first.play(refusal(401, `Incorrect API key provided: ${canary}`, 'invalid_api_key'))
    expect((await call({ model: 'spare' })).headers.get('x-omium-provider')).toBe('second')
    expect(first.seen.length).toBe(1)
    first.play(completion('hello'))
    expect((await call({ model: 'away' })).headers.get('x-omium-provider')).toBe('first')
  })

  it('is waited for as long as it says, when that is short', async () => {
    first.play(refusal(429, 'slow down', 'rate_limit_exceeded', { 'retry-after-ms': '200' }), completion('later'))
    const begin = performance.now()
    expect((await call({ model: 'fragile-b' })).body.choices[0].message.content).toBe('later')
    expect(performance.now() - begin).toBeGreaterThan(190)
  })

  it('is left alone for as long as it says, when that is long', async () => {
    first.play(refusal(429, 'slow down', 'rate_limit_exceeded', { 'retry-after': '30' }))
    const refused = await call({ model: 'fragile-c' })
    expect([refused.status, refused.body.error.code]).toEqual([429, 'model_rate_limited'])
    expect(refused.headers.get('retry-after')).toBe('30')
    await call({ model: 'fragile-c' })
    expect(first.seen.length).toBe(1)
  })

  it('is not asked while its breaker is open, and asked once when it is half open', async () => {
    first.play(refusal(500, 'down', 'server_error'))
    await call({ model: 'fragile-d' })
    await call({ model: 'fragile-d' })
    const asked = first.seen.length
    const refused = await call({ model: 'fragile-d' })
    expect(refused.body.error).toMatchObject({ code: 'model_overloaded', retryable: true })
    expect(refused.headers.get('retry-after-ms')).toBe(String(resetMs))
    expect(first.seen.length).toBe(asked)
    first.play(completion('well again'))
    await eventually(async () => expect((await call({ model: 'fragile-d' })).status).toBe(200))
    expect(first.seen.length).toBe(1)
  })

  it.each<[string, string, Answer, string]>([
    ['hangs', 'hasty-a', hang, 'model_overloaded'],
    [
      'answers with a broken JSON',
      'fragile-e',
      (_, response) => void response.end('{"choices": [{"mes'),
      'model_malformed',
    ],
    ['answers with something else', 'fragile-f', json(200, { hello: 1 }), 'model_malformed'],
    [
      'answers endlessly',
      'terse-a',
      (_, response) => void response.end(`{"a":"${'x'.repeat(8000)}"}`),
      'model_malformed',
    ],
    [
      'redirects',
      'fragile-g',
      (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1' }).end(),
      'model_malformed',
    ],
    ['filters', 'plain', refusal(400, 'no', 'content_filter'), 'model_content_filter'],
    ['finds it too long', 'plain', refusal(400, 'long', 'context_length_exceeded'), 'model_context_length'],
    ['refuses the key', 'plain', refusal(401, `bad key ${canary}`, 'invalid_api_key'), 'model_auth'],
  ])('and %s is told by its code', async (_what, model, answer, code) => {
    first.play(answer)
    const { body, headers } = await call({ model })
    expect(body.error.code).toBe(code)
    expect(body.error.message).not.toContain(canary)
    expect(headers.get('x-should-retry')).toBe(String(body.error.retryable))
  })

  it.each<[string, string, Answer, string]>([
    [
      'breaks off',
      'fragile-i',
      drop(events([chunk({ content: 'he' })], { end: false, done: false })),
      'model_overloaded',
    ],
    ['ends without an end', 'fragile-j', events([chunk({ content: 'he' })], { done: false }), 'model_malformed'],
    ['falls silent', 'restless-a', events([chunk({ content: 'he' })], { end: false, done: false }), 'model_overloaded'],
    [
      'says nonsense',
      'fragile-k',
      events([chunk({ content: 'he' }), '{"choices": [{'], { done: false }),
      'model_malformed',
    ],
    [
      'says that it fails',
      'fragile-l',
      events([chunk({ content: 'he' }), { error: { message: `x ${canary}`, code: 429 } }]),
      'model_rate_limited',
    ],
    ['never ends', 'terse-b', chatter, 'model_malformed'],
  ])('in the middle of a stream and %s is an event of its own', async (_what, model, answer, code) => {
    first.play(answer)
    const { status, text } = await call({ model, stream: true })
    expect(status).toBe(200)
    const last = text.trimEnd().split('\n\n').at(-1) ?? ''
    expect(JSON.parse(last.replace('data: ', ''))).toMatchObject({ error: { code } })
    expect(text).not.toContain('[DONE]')
    expect(text).not.toContain(canary)
  })

  it('before the first word of a stream is tried again', async () => {
    first.play(events([], { done: false }), events([chunk({ content: 'hello' }), chunk({}, 'stop')]))
    expect((await call({ model: 'fragile-h', stream: true })).text).toContain('hello')
  })
})

it('a caller who goes away is not worked for', async () => {
  const gone = new AbortController()
  const ended = new Promise<void>((resolve) => {
    first.play((_, response) => {
      response.on('close', resolve)
      gone.abort()
    })
  })
  await expect(call({}, { signal: gone.signal })).rejects.toThrow()
  await ended
})

describe('limits', () => {
  it('of a provider at a time: one runs, one waits, the next is refused', async () => {
    const held: (() => void)[] = []
    first.play((seen, response) => void held.push(() => completion('x')(seen, response)))
    const running = [call({ model: 'narrow' }), call({ model: 'narrow' })]
    await eventually(() => expect(held.length).toBe(1))
    await eventually(async () => {
      const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
      expect(metrics).toContain('omium_models_slots{provider="narrow",is="waiting"} 1')
    })
    const refused = await call({ model: 'narrow' })
    expect(refused.body.error.code).toBe('model_overloaded')
    held[0]?.()
    await eventually(() => expect(held.length).toBe(2))
    held[1]?.()
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200])
  })

  it('of a provider a minute hold over all callers', async () => {
    const codes = []
    for (const key of [keyA, keyB, keyA]) codes.push((await call({ model: 'metered' }, { key })).status)
    expect(codes).toEqual([200, 200, 429])
  })

  it('of a tenant a minute are its own, and go on without Redis', async () => {
    const burst = async (key: string) => {
      const replies = await Promise.all([...Array(8).keys()].map(() => call({}, { key })))
      return replies.filter(({ status }) => status === 200).length
    }
    // one call of this tenant was made above; one more is allowed every twelve seconds
    expect([4, 5]).toContain(await burst(keyB))
    expect(await burst(keyA)).toBe(8)
    const refused = await call({}, { key: keyB })
    expect([refused.status, refused.body.error.code]).toEqual([429, 'rate_limited'])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)

    await redisGate.close()
    // this process knows nothing of what was spent there, and keeps to the same limit by itself
    await eventually(async () => expect((await call({}, { key: keyB })).status).toBe(200))
    expect(await burst(keyB)).toBeLessThanOrEqual(5)
    expect(await burst(keyB)).toBe(0)
    await redisGate.open(new URL(testStack().redisUrl))
  })
})

describe('the cache', () => {
  const both = { 'x-omium-cache': 'both' }
  /** the first write after Redis was away may be lost */
  const cached = (body: object, headers = both) =>
    eventually(async () => {
      const reply = await call(body, { headers })
      expect(reply.headers.get('x-omium-cache')).toBe('hit')
      return reply
    })

  it('answers what it was asked before, for nothing', async () => {
    const asked = { temperature: 0, messages: [{ role: 'user', content: 'cache me' }] }
    const { body } = await cached(asked)
    const calls = first.seen.length
    expect(body.choices[0].message.content).toBe('hello')
    expect(body.usage).toMatchObject({ prompt_tokens: 1000, omium_cost_micro_credits: 0 })
    const streamed = await call({ ...asked, stream: true, stream_options: { include_usage: true } }, { headers: both })
    expect(streamed.text).toContain('"content":"hello"')
    expect(streamed.text).toContain('"omium_cost_micro_credits":0')
    expect(first.seen.length).toBe(calls)
  })

  it('keeps a whole stream', async () => {
    const asked = { temperature: 0, messages: [{ role: 'user', content: 'stream me' }] }
    first.play(events([chunk({ content: 'stre' }), chunk({ content: 'amed' }), chunk({}, 'stop'), usageChunk]))
    await eventually(async () => {
      const { headers } = await call({ ...asked, stream: true }, { headers: both })
      expect(headers.get('x-omium-cache')).toBe('hit')
    })
    const { body } = await cached(asked)
    expect(body.choices[0].message.content).toBe('streamed')
  })

  it('is of one tenant', async () => {
    const asked = { temperature: 0, messages: [{ role: 'user', content: 'mine' }], model: 'claude' }
    await cached(asked)
    const seen = second.seen.length
    // over its limit or not, it never sees the answer of the other
    const other = await call(asked, { key: keyB, headers: both })
    expect(other.headers.get('x-omium-cache')).not.toBe('hit')
    expect(second.seen.length - seen).toBe(other.status === 200 ? 1 : 0)
  })

  it('is not used for what would be answered otherwise, unless it is forced', async () => {
    const { headers } = await call({}, { headers: both })
    expect(headers.get('x-omium-cache')).toBe('bypass')
    await cached({}, { 'x-omium-cache': 'both, force' })
    expect((await call({}, { headers: { 'x-omium-cache': 'nonsense' } })).body.error.code).toBe('invalid_request')
    expect((await call({})).headers.get('x-omium-cache')).toBe('none')
  })
})

it('logs no key and no prompt unmasked', async () => {
  await call({ messages: [{ role: 'user', content: `my key is sk-${'a'.repeat(30)} and ${canary}` }] })
  const log = written.join('')
  expect(log).toContain('my key is [redacted] and [redacted]')
  expect(log).not.toContain(canary)
  expect(log).not.toContain(keyA)
  expect(await (await fetch(`${gateway.url}/metrics`)).text()).not.toContain(canary)
})
