import { connect } from 'node:net'
import { eventually, testStack } from '@omium/dev/testing'
import { createLogger } from '@omium/kit'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayWorld, keyA, keyB, startGatewayWorld } from './gateway-world.ts'
import { type Relay, startRelay } from './relay.ts'
import { completed, input, started } from './started-runs.ts'

/** What the front door does whatever is asked behind it: bad requests, repetitions, limits, browsers, its own description. */
const lines: string[] = []
const logger = createLogger('spec', 'trace', { write: (line) => void lines.push(line) })

let world: GatewayWorld
let call: GatewayWorld['call']
/** gives up soon what does not come */
let hasty: GatewayWorld['gateway']
let ways: { objects: Relay; redis: Relay }
let counter = 0
const newId = () => `door-${++counter}`

beforeAll(async () => {
  const { s3, redisUrl } = testStack()
  ways = { objects: await startRelay(s3.endpoint), redis: await startRelay(redisUrl) }
  const env = {
    OMIUM_CORS_ORIGINS: 'https://app.example',
    OMIUM_RATE_PER_KEY: '100000',
    OMIUM_S3_ENDPOINT: ways.objects.url,
    OMIUM_REDIS_URL: ways.redis.url,
  }
  const limits = { headersMs: 1_500, requestMs: 5_000, bodyBytes: 10 * 1024 * 1024 }
  world = await startGatewayWorld({ env, limits, logger })
  ;({ call } = world)
  hasty = await world.startOne({ commandTimeoutMs: 300 })
})
afterAll(async () => {
  await hasty?.close()
  await world?.close()
  await ways?.objects.close()
  await ways?.redis.close()
})

/** What the server says on a connection of its own until it ends it. @param drip sent every 50 ms */
const raw = async (text: string | Buffer, drip?: string) => {
  const { hostname, port } = new URL(world.gateway.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.write(text)
  const timer = setInterval(() => drip && socket.writable && socket.write(drip), 50)
  await new Promise((resolve) => socket.on('close', resolve))
  clearInterval(timer)
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
    type: /content-type: ([^\r\n]+)/i.exec(head)?.[1],
    code: body ? (JSON.parse(body) as { code: string }).code : undefined,
  }
}
const problem = 'application/problem+json'
const authorization = `authorization: Bearer ${keyA}\r\n`
const head = (line: string, headers = '', body = '') =>
  `${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${authorization}${headers}\r\n${body}`

describe('bad input', () => {
  it.each([
    ['a method that HTTP does not have', 'FETCH / HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'malformed_request'],
    ['no HTTP at all', '\x16\x03\x01 hello\r\n\r\n', 400, 'malformed_request'],
    ['a flood of headers', head('GET /v1/agents', `x-flood: ${'x'.repeat(20_000)}\r\n`), 431, 'headers_too_large'],
    ['many headers', head('GET /v1/agents', 'x-a: bbbbbbbbbbbb\r\n'.repeat(2_000)), 431, 'headers_too_large'],
    ['broken escapes in the path', head('GET /v1/executions/%E0%A4%A'), 400, 'malformed_request'],
    ['a NUL in an id', head('GET /v1/executions/a%00b'), 422, 'invalid_request'],
    ['a NUL in a tenant', head('POST /v1/hooks/ten%00/x', 'content-length: 0\r\n'), 422, 'invalid_request'],
    ['a NUL in a filter', head('GET /v1/executions?agent=a%00'), 422, 'invalid_request'],
    ['an id that is far too long', head(`GET /v1/executions/${'a'.repeat(300)}`), 404, 'not_found'],
    [
      'a place in a partition that there is not',
      head('GET /v1/executions?min_position=4096:1'),
      422,
      'invalid_request',
    ],
    ['a place beyond numbers', head(`GET /v1/executions?min_position=0:${'9'.repeat(400)}`), 422, 'invalid_request'],
    ['a query parameter that is given twice', head('GET /v1/executions?limit=1&limit=2'), 422, 'invalid_request'],
    ['a method that the path does not have', head('PATCH /v1/executions'), 405, 'method_not_allowed'],
    ['TRACE', head('TRACE /v1/executions'), 405, 'method_not_allowed'],
    [
      'two lengths',
      head('POST /v1/executions', 'content-length: 1\r\ncontent-length: 2\r\n'),
      400,
      'malformed_request',
    ],
    [
      'a length and chunks',
      head('POST /v1/executions', 'content-length: 3\r\ntransfer-encoding: chunked\r\n'),
      400,
      'malformed_request',
    ],
    [
      'a form',
      head('POST /v1/executions', 'content-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n', 'a=b'),
      415,
      'unsupported_media_type',
    ],
    ['no content type', head('POST /v1/executions', 'content-length: 2\r\n', '{}'), 415, 'unsupported_media_type'],
    ['a stream without WebSocket', head('GET /v1/stream'), 426, 'upgrade_required'],
  ])('%s', async (_name, text, status, code) => {
    expect(await raw(text)).toEqual({ status, type: problem, code })
  })

  it('names the methods that a path has', async () => {
    const { headers } = await call('PATCH', '/v1/executions')
    expect(headers.get('allow')).toBe('GET, HEAD, POST')
  })

  it.each([
    ['bytes that are no UTF-8', Buffer.from('7b226167656e74223a22c328227d', 'hex'), 400, 'invalid_json'],
    ['a body of 11 MiB', Buffer.alloc(11 * 1024 * 1024, ' '), 413, 'payload_too_large'],
    ['ten megabytes of nesting', Buffer.alloc(9 * 1024 * 1024, '['), 400, 'invalid_json'],
    [
      'a NUL in a label',
      Buffer.from('{"agent":"writer","input":{"topic":"aa"},"options":{"labels":{"a":"\\u0000"}}}'),
      422,
      'invalid_request',
    ],
    ['a list instead of an object', Buffer.from('[]'), 422, 'invalid_request'],
  ])('%s', async (_name, bytes, status, code) => {
    const reply = await call('POST', '/v1/executions', { raw: bytes })
    expect([reply.status, reply.body.code]).toEqual([status, code])
  })

  it.each(['h2c', 'websocket'])(
    'a request that offers %s is a request like any other, with its body',
    async (protocol) => {
      const offer = `connection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nupgrade: ${protocol}\r\n`
      const body = JSON.stringify({ agent: 'writer', input })
      const headers = `${authorization}${offer}content-type: application/json\r\ncontent-length: ${body.length}\r\n`
      const { status } = await raw(
        `POST /v1/executions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${headers}\r\n${body}`,
      )
      expect(status).toBe(201)
      expect(
        (await raw(`GET /v1/agents HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${authorization}${offer}\r\n`)).status,
      ).toBe(200)
    },
  )

  it('takes a NUL inside of an input for what it is', async () => {
    const id = newId()
    const body = { agent: 'writer', id, input: { topic: 'a\0b' } }
    const { body: receipt } = await call('POST', '/v1/executions', { body })
    const { body: run } = await call('GET', `/v1/executions/${id}?min_position=${receipt.position}`)
    expect(run.input).toEqual(body.input)
  })

  it('a member __proto__ is data and pollutes nothing', async () => {
    const id = newId()
    const text = `{"agent":"writer","id":"${id}","input":{"topic":"aa","__proto__":{"polluted":true}}}`
    expect((await call('POST', '/v1/executions', { raw: text })).status).toBe(201)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  it.each([
    ['headers', 'GET /v1/agents HTTP/1.1\r\nhost: x\r\n', 'x-drip: 1\r\n'],
    ['a body', head('POST /v1/executions', 'content-type: application/json\r\ncontent-length: 100000\r\n'), ' '],
  ])('%s that comes too slowly', async (_name, begin, drip) => {
    expect(await raw(begin, drip)).toEqual({ status: 408, type: problem, code: 'request_timeout' })
  })

  it('ids of others cannot be told from ids that there are not', async () => {
    const id = newId()
    const { body } = await call('POST', '/v1/executions', { body: { agent: 'writer', input, id } })
    await call('GET', `/v1/executions/${id}?min_position=${body.position}`)
    const [foreign, none] = await Promise.all(
      [id, `${id}-none`].map((one) => call('GET', `/v1/executions/${one}`, { key: keyB })),
    )
    const said = (reply: typeof foreign, one: string) => ({
      ...reply?.body,
      detail: reply?.body.detail.replace(one, 'ID'),
      instance: '',
      requestId: '',
    })
    expect(said(foreign, id)).toEqual(said(none, `${id}-none`))
    const names = (reply: typeof foreign) => [...(reply?.headers.keys() ?? [])].sort()
    expect(names(foreign)).toEqual(names(none))
  })
})

describe('a request with an idempotency key', () => {
  const send = (path: string, key: string, body?: object, more: { key?: string; at?: string } = {}) =>
    call('POST', path, { headers: { 'idempotency-key': key }, ...(body && { body }), ...more })

  it('starts one execution, however often and through whichever gateway it is sent', async () => {
    const other = await world.startOne()
    const body = { agent: 'writer', input: { topic: newId() } }
    // an answer that does not come in time is asked for again: that is what the key is for
    const persist = async (at: { at?: string }) => {
      for (;;) {
        const reply = await send('/v1/executions', 'start-1', body, at)
        if (reply.status !== 504) return reply
      }
    }
    const replies = await Promise.all([0, 1, 2, 3, 4, 5].map((n) => persist(n % 2 ? { at: other.url } : {})))
    expect(new Set(replies.map((reply) => reply.body.executionId)).size).toBe(1)
    expect(replies.map(({ status }) => status).every((status) => status === 200 || status === 201)).toBe(true)
    const later = await send('/v1/executions', 'start-1', body, { at: other.url })
    expect([later.status, later.headers.get('idempotency-replayed')]).toEqual([200, 'true'])
    const { body: page } = await call('GET', `/v1/executions/${replies[0]?.body.executionId}/events`)
    expect(page.items).toHaveLength(1)
    await other.close()
  })

  it('belongs to its tenant', async () => {
    const body = { agent: 'writer', input: { topic: newId() } }
    const [a, b] = await Promise.all([
      send('/v1/executions', 'shared', body),
      send('/v1/executions', 'shared', { agent: 'writer', input: { topic: 'else' } }, { key: keyB }),
    ])
    expect([a?.status, b?.status]).toEqual([201, 201])
    expect(a?.body.executionId).not.toBe(b?.body.executionId)
  })

  it('is refused for another body and for another path', async () => {
    const id = newId()
    await call('POST', '/v1/executions', { body: { agent: 'writer', input, id } })
    const first = await send(`/v1/executions/${id}/pause`, 'pause-1', { reason: 'lunch' })
    expect([first.status, first.headers.get('idempotency-replayed')]).toEqual([200, null])
    const again = await send(`/v1/executions/${id}/pause`, 'pause-1', { reason: 'lunch' })
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true'])
    for (const [path, body] of [
      ['pause', { reason: 'tea' }],
      ['resume', undefined],
    ] as const) {
      const other = await send(`/v1/executions/${id}/${path}`, 'pause-1', body)
      expect([other.status, other.body.code]).toEqual([409, 'idempotency_conflict'])
    }
    const malformed = await send(`/v1/executions/${id}/pause`, 'no spaces please')
    expect([malformed.status, malformed.body.code]).toEqual([422, 'invalid_request'])
  })

  it('is decided once although the first gateway died before it could answer', async () => {
    const id = newId()
    await call('POST', '/v1/executions', { body: { agent: 'writer', input, id } })
    const dying = await world.startOne({ commandTimeoutMs: 300 })
    world.engine.hold()
    const lost = await send(`/v1/executions/${id}/pause`, 'crash-1', undefined, { at: dying.url })
    expect([lost.status, lost.body.code]).toEqual([504, 'timeout'])
    await eventually(() => expect(world.engine.commands.at(-1)).toMatchObject({ type: 'PauseExecution' }))
    await dying.close()
    world.engine.release()
    await eventually(async () => {
      const { body } = await call('GET', `/v1/executions/${id}/events`)
      expect(body.items.at(-1).type).toBe('ExecutionPaused')
    })
    const again = await send(`/v1/executions/${id}/pause`, 'crash-1')
    expect([again.status, again.body.deduplicated]).toEqual([200, true])
  })
})

describe('an answer', () => {
  it('has a tag, and is not sent again to who has it', async () => {
    const id = newId()
    const { body } = await call('POST', '/v1/executions', { body: { agent: 'writer', input, id } })
    const path = `/v1/executions/${id}`
    const first = await call('GET', `${path}?min_position=${body.position}`)
    const tag = first.headers.get('etag') ?? ''
    expect(tag).toMatch(/^W\/"\d+-\d+"$/)
    for (const known of [tag, tag.slice(2), `"else", ${tag}`, '*'])
      expect((await call('GET', path, { headers: { 'if-none-match': known } })).status).toBe(304)
    await world.engine.write('ten_a', id, started, completed)
    await call('GET', `${path}/result?wait_ms=5000`)
    const later = await call('GET', path, { headers: { 'if-none-match': tag } })
    expect([later.status, later.body.status]).toEqual([200, 'completed'])
  })

  it('tells how many requests are left', async () => {
    const { headers } = await call('GET', '/v1/agents')
    const [limit, left, reset] = ['limit', 'remaining', 'reset'].map((name) => Number(headers.get(`ratelimit-${name}`)))
    expect(limit).toBe(100_000)
    expect(left).toBeLessThan(100_000)
    expect(reset).toBeLessThanOrEqual(60)
  })
})

describe('browsers', () => {
  const from = (origin: string, method = 'GET') =>
    call(method, '/v1/agents', {
      headers: { origin, ...(method === 'OPTIONS' && { 'access-control-request-method': 'GET' }) },
    })

  it('may call from the origins in the settings, with credentials, and from no other', async () => {
    for (const method of ['GET', 'OPTIONS']) {
      const known = await from('https://app.example', method)
      expect(known.headers.get('access-control-allow-origin')).toBe('https://app.example')
      expect(known.headers.get('access-control-allow-credentials')).toBe('true')
      for (const origin of ['https://evil.example', 'https://app.example.evil', 'null']) {
        const foreign = await from(origin, method)
        expect(foreign.headers.get('access-control-allow-origin')).toBeNull()
      }
    }
  })

  it('may follow a run from the origins in the settings, with all headers that other answers have', async () => {
    const id = newId()
    const { body } = await call('POST', '/v1/executions', { body: { agent: 'writer', input, id } })
    const path = `/v1/executions/${id}/events?min_position=${body.position}`
    const headers = { origin: 'https://app.example', accept: 'text/event-stream', authorization: `Bearer ${keyA}` }
    const stream = await fetch(`${world.gateway.url}${path}`, { headers })
    expect(stream.headers.get('content-type')).toContain('text/event-stream')
    expect(stream.headers.get('access-control-allow-origin')).toBe('https://app.example')
    expect(stream.headers.get('x-content-type-options')).toBe('nosniff')
    expect(stream.headers.get('x-request-id')).toMatch(/^req_/)
    await stream.body?.cancel()
    // with HEAD there is nothing to wait for
    expect((await fetch(`${world.gateway.url}${path}`, { method: 'HEAD', headers })).status).toBe(200)
  })

  it('get no script but the documentation, and that asks nobody else', async () => {
    const page = await fetch(`${world.gateway.url}/docs/`)
    expect(page.status).toBe(200)
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("script-src 'self'")
    const html = await page.text()
    expect(html).not.toMatch(/(src|href)="(https?:)?\/\//)
    expect(html).not.toMatch(/<script>/)
    for (const file of ['swagger-ui-bundle.js', 'swagger-ui.css', 'swagger-initializer.js'])
      expect((await fetch(`${world.gateway.url}/docs/static/${file}`)).status).toBe(200)
    const answer = await fetch(`${world.gateway.url}/health`)
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
  })
})

describe('the description', () => {
  it('names every operation once, with who may call it, its errors and their examples', async () => {
    const { body } = await call('GET', '/openapi.json', { key: null })
    expect(body.openapi).toBe('3.1.0')
    // biome-ignore lint/suspicious/noExplicitAny: a document from outside
    const operations: [string, any][] = Object.entries(body.paths).flatMap(([path, item]) =>
      Object.entries(item as object).map(
        ([method, operation]) => [`${method} ${path}`, operation] as [string, unknown],
      ),
    )
    expect(operations.length).toBeGreaterThan(50)
    const ids = operations.map(([, { operationId }]) => operationId)
    expect(new Set(ids).size).toBe(ids.length)
    for (const [name, { responses, summary, tags, security }] of operations) {
      expect([name, summary?.length > 0, tags?.length]).toEqual([name, true, 1])
      const statuses = Object.keys(responses)
      expect([name, statuses.some((status) => /^[12]/.test(status))]).toEqual([name, true])
      const expected = ['400', '408', '429', '431', '500', '503', ...(security ? [] : ['401', '403'])]
      expect([name, expected.filter((status) => !statuses.includes(status))]).toEqual([name, []])
      for (const status of statuses.filter((one) => /^[45]/.test(one)))
        expect([name, status, Object.keys(responses[status].content)]).toEqual([name, status, [problem]])
    }
    const references = [...JSON.stringify(body).matchAll(/"#\/components\/(\w+)\/(\w[\w-]*)"/g)]
    for (const [, kind = '', name = ''] of references)
      expect(body.components[kind]?.[name], `${kind}/${name}`).toBeDefined()
  })
})

describe('the process', () => {
  it('shows breakers, lag and rejected records beside rate, errors and duration of each route', async () => {
    await call('GET', '/v1/executions/none')
    await eventually(async () => {
      const metrics = await (await fetch(`${world.gateway.url}/metrics`)).text()
      expect(metrics).toContain('omium_breaker_state{target="object store"} 0')
      expect(metrics).toContain('omium_gateway_read_lag_records{context="execution"} 0')
      expect(metrics).toMatch(/omium_gateway_unread_requests\{code="headers_too_large"\} [1-9]/)
      expect(metrics).toContain('# TYPE omium_gateway_rejected_records gauge')
      expect(metrics).toMatch(
        /omium_gateway_request_seconds_count\{method="GET",route="\/v1\/executions\/:id",status="404"\} \d/,
      )
    })
  })

  it('hands the request id and the trace on, to the log and to its own lines', async () => {
    const id = newId()
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const headers = { 'x-request-id': 'spec-traced-1', traceparent: `00-${traceId}-00f067aa0ba902b7-01` }
    const reply = await call('POST', '/v1/executions', { headers, body: { agent: 'writer', input, id } })
    expect(reply.headers.get('x-request-id')).toBe('spec-traced-1')
    expect(world.engine.commands.at(-1)?.envelope).toMatchObject({
      correlationId: 'spec-traced-1',
      traceparent: headers.traceparent,
    })
    world.engine.hold()
    await call('POST', '/v1/executions', { headers, body: { agent: 'writer', input, id: newId() }, at: hasty.url })
    world.engine.release()
    const line = lines.find((one) => one.includes('request failed') && one.includes('spec-traced-1'))
    expect(JSON.parse(line ?? '{}')).toMatchObject({ reqId: 'spec-traced-1', traceId })
  })

  it('writes no secret into its log, wherever somebody puts one', async () => {
    const secret = 'sk-verysecret0123456789abcdef'
    const places: Parameters<typeof call>[] = [
      ['GET', '/v1/agents', { key: secret }],
      ['GET', `/v1/executions?cursor=${secret}`, {}],
      ['GET', `/v1/executions/${secret}`, {}],
      ['GET', `/${secret}`, {}],
      ['GET', '/v1/agents', { headers: { cookie: `session=${secret}`, 'x-api-key': secret, traceparent: secret } }],
      ['GET', '/v1/agents', { headers: { 'x-request-id': 'spec-request', referer: `https://x/?token=${secret}` } }],
      ['POST', '/v1/executions', { raw: `{"agent":"${secret}` }],
      ['POST', '/v1/executions', { body: { agent: 'writer', input: { topic: secret, apiKey: secret } } }],
      ['POST', '/v1/executions', { body: { agent: secret, input: { password: secret } } }],
      ['POST', '/v1/executions', { headers: { 'idempotency-key': secret }, body: { agent: 'writer', input } }],
      ['POST', `/v1/hooks/ten_a/${secret}`, { raw: secret, headers: { 'x-omium-signature': secret } }],
    ]
    for (const place of places) await call(...place)
    // an error that is logged with all that is known about it
    world.engine.hold()
    const failing = { body: { agent: 'writer', input: { topic: secret } }, at: hasty.url }
    expect((await call('POST', '/v1/executions', failing)).status).toBe(504)
    world.engine.release()
    expect(lines.some((line) => line.includes('request failed'))).toBe(true)
    expect(lines.filter((line) => line.includes(secret))).toEqual([])
    expect(lines.filter((line) => line.includes(keyA))).toEqual([])
  })

  it('answers what is in flight when it is asked to end', async () => {
    const id = newId()
    await call('POST', '/v1/executions', { body: { agent: 'writer', input, id } })
    const ending = await world.startOne()
    const poll = call('GET', `/v1/executions/${id}/result?wait_ms=30000`, { at: ending.url })
    world.engine.hold()
    const pause = call('POST', `/v1/executions/${id}/pause`, { at: ending.url })
    await eventually(() => expect(world.engine.commands.at(-1)).toMatchObject({ type: 'PauseExecution' }))
    const closing = ending.close()
    expect((await poll).status).toBe(202)
    world.engine.release()
    expect((await pause).status).toBe(200)
    await closing
  })

  it('is ready without object store and Redis, says that they are away, and does what needs neither', async () => {
    const says = (body: object) =>
      eventually(async () => expect(await call('GET', '/ready', { key: null })).toMatchObject({ status: 200, body }), {
        timeoutMs: 30_000,
      })
    await says({ status: 'ready' })
    ways.objects.cut()
    await says({ status: 'ready', degraded: 'the object store cannot be reached' })
    ways.redis.cut()
    await says({ degraded: 'the object store cannot be reached; Redis cannot be reached' })
    const start = (body: object) => call('POST', '/v1/executions', { body: { agent: 'writer', ...body } })
    expect((await start({ input })).status).toBe(201)
    expect(await start({ input: { topic: 'x'.repeat(200_000) } })).toMatchObject({
      status: 503,
      body: { code: 'unavailable' },
    })
    ways.objects.mend()
    ways.redis.mend()
    await eventually(
      async () => expect((await call('GET', '/ready', { key: null })).body).toEqual({ status: 'ready' }),
      { timeoutMs: 30_000 },
    )
  })

  it('is ready only while the log answers, also when it hangs rather than goes away', async () => {
    const { execution } = world.logs
    const { transport } = execution.context
    let hangs = false
    const endOffsets: typeof transport.endOffsets = (topic) =>
      hangs ? new Promise(() => undefined) : transport.endOffsets(topic)
    const context = { ...execution.context, transport: { ...transport, endOffsets } }
    const gateway = await world.startOne({}, { execution: { ...execution, context } })
    const ready = () => call('GET', '/ready', { key: null, at: gateway.url })
    await eventually(async () => expect((await ready()).status).toBe(200), { timeoutMs: 30_000 })
    hangs = true
    await eventually(
      async () => expect(await ready()).toMatchObject({ status: 503, body: { reason: 'the log does not answer' } }),
      { timeoutMs: 30_000 },
    )
    await gateway.close()
  })

  it('is ready only while the database answers', async () => {
    const ready = () => call('GET', '/ready', { key: null })
    await eventually(async () => expect((await ready()).body).toEqual({ status: 'ready' }))
    const name = new URL(world.env['OMIUM_DATABASE_URL'] ?? '').pathname.slice(1)
    const admin = new pg.Client({ connectionString: testStack().databaseUrl })
    await admin.connect()
    try {
      await admin.query(`ALTER DATABASE ${pg.escapeIdentifier(name)} WITH ALLOW_CONNECTIONS false`)
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name])
      await eventually(async () => expect((await ready()).status).toBe(503))
      await admin.query(`ALTER DATABASE ${pg.escapeIdentifier(name)} WITH ALLOW_CONNECTIONS true`)
      await eventually(async () => expect((await ready()).status).toBe(200), { timeoutMs: 30_000 })
    } finally {
      await admin.end()
    }
  })
})
