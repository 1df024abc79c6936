import { Agent, get } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { putTenants } from '@omium/access/testing'
import { createDeltaPublisher } from '@omium/deltas'
import { eventually, newApiKey, spawnService } from '@omium/dev/testing'
import type { EventView, ExecutionEvent } from '@omium/schemas'
import { verifyWorkerToken } from '@omium/worker-tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayWorld, keyA, keyB, startGatewayWorld } from './gateway-world.ts'

/** Every answer of the gateway, provoked. */
let world: GatewayWorld
let gateway: GatewayWorld['gateway']
let engine: GatewayWorld['engine']
let pool: GatewayWorld['pool']
let env: GatewayWorld['env']
let call: GatewayWorld['call']
let counter = 0

beforeAll(async () => {
  world = await startGatewayWorld()
  ;({ gateway, engine, pool, env, call } = world)
})
afterAll(() => world?.close())

const newId = () => `run-${++counter}`
const input = { topic: 'logs' }
const start = async (id = newId(), body: object = { agent: 'writer', input, id }) => {
  const reply = await call('POST', '/v1/executions', { body })
  expect(reply.status).toBe(201)
  return { id, position: reply.body.position as string }
}
const started: ExecutionEvent = { type: 'ExecutionStarted', data: { attempt: 1, workerId: 'w' } }
const step = (n: number, output: unknown = { n }): ExecutionEvent => ({
  type: 'StepCompleted',
  data: {
    attempt: 1,
    path: `step#${n}`,
    name: 'step',
    kind: 'step',
    stepAttempt: 1,
    requestHash: `h${n}`,
    output: { inline: output as null },
    startedAt: 1_700_000_000_000,
    durationMs: 3,
  },
})
const completed: ExecutionEvent = { type: 'ExecutionCompleted', data: { attempt: 1, output: { inline: 'done' } } }

/** Reads server-sent events until `until` says so or the server ends. */
const sse = async (
  path: string,
  until: (events: EventView[], comments: number) => boolean,
  headers: Record<string, string> = {},
) => {
  const abort = new AbortController()
  const response = await fetch(`${gateway.url}${path}`, {
    headers: { authorization: `Bearer ${keyA}`, accept: 'text/event-stream', ...headers },
    signal: abort.signal,
  })
  const events: EventView[] = []
  let comments = 0
  let text = ''
  if (response.body) {
    for await (const chunk of response.body) {
      text += Buffer.from(chunk).toString()
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        if (block.startsWith(':')) comments++
        else
          events.push(
            JSON.parse(
              block
                .split('\n')
                .find((line) => line.startsWith('data: '))
                ?.slice(6) ?? 'null',
            ),
          )
      }
      if (until(events, comments)) break
    }
    abort.abort()
  }
  return { status: response.status, events, comments }
}
const versions = (events: EventView[]) => events.map(({ version }) => version)

describe('starting an execution', () => {
  it('answers 201 with the position of the accepted event, which a read waits for', async () => {
    const { id, position } = await start()
    const { status, body } = await call('GET', `/v1/executions/${id}?min_position=${position}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      id,
      agent: 'writer',
      status: 'queued',
      input,
      options: { priority: 5 },
      waitingFor: ['worker'],
    })
    expect(body.position).toBe(position)
  })

  it('is done once: the same request again answers 200 and the same id with another input is a conflict', async () => {
    const { id } = await start()
    const again = await call('POST', '/v1/executions', { body: { agent: 'writer', input, id } })
    expect([again.status, again.body.deduplicated]).toEqual([200, true])
    const other = await call('POST', '/v1/executions', { body: { agent: 'writer', input: { topic: 'else' }, id } })
    expect([other.status, other.body.code]).toEqual([409, 'execution_conflict'])
  })

  it('is done once when the request is sent ten times at the same moment', async () => {
    const id = newId()
    const body = { agent: 'writer', input, id }
    const replies = await Promise.all(Array.from({ length: 10 }, () => call('POST', '/v1/executions', { body })))
    expect(replies.every(({ status }) => status === 200 || status === 201)).toBe(true)
    expect(replies.filter(({ body: { deduplicated } }) => !deduplicated).length).toBeGreaterThan(0)
    const { body: page } = await call('GET', `/v1/executions/${id}/events`)
    expect(versions(page.items)).toEqual([1])
  })

  it('mints an id when none is given', async () => {
    const { body } = await call('POST', '/v1/executions', { body: { agent: 'writer', input } })
    expect(body.executionId).toMatch(/^exe_[0-9a-f]{32}$/)
  })

  it('seals a large input to object storage and gives it back whole', async () => {
    const large = { topic: 'x'.repeat(200_000) }
    const { id, position } = await start(newId(), { agent: 'writer', input: large, id: `run-${counter}` })
    const command = engine.commands.findLast(({ envelope }) => envelope.aggregate.endsWith(`/${id}`))
    expect(command?.data).toMatchObject({ input: { ref: { bytes: expect.any(Number) } } })
    const { body } = await call('GET', `/v1/executions/${id}?min_position=${position}`)
    expect(body.input).toEqual(large)
  })

  it('tells that no outcome came in time, and a repetition finds it', async () => {
    engine.hold()
    const id = newId()
    const request = { body: { agent: 'writer', input, id } }
    const { status, body } = await call('POST', '/v1/executions', request)
    expect([status, body.code, body.retryable]).toEqual([504, 'timeout', true])
    engine.release()
    const again = await call('POST', '/v1/executions', request)
    expect([200, 201]).toContain(again.status)
    const { body: page } = await call('GET', `/v1/executions/${id}/events`)
    expect(versions(page.items)).toEqual([1])
  })
})

describe('bad requests', () => {
  const cases: [string, () => ReturnType<typeof call>, number, string][] = [
    ['no key', () => call('GET', '/v1/executions', { key: null }), 401, 'unauthenticated'],
    ['an unknown key', () => call('GET', '/v1/executions', { key: newApiKey() }), 401, 'unauthenticated'],
    ['broken JSON', () => call('POST', '/v1/executions', { raw: '{"agent":' }), 400, 'invalid_json'],
    ['a body without an agent', () => call('POST', '/v1/executions', { body: { input } }), 422, 'invalid_request'],
    [
      'an unknown agent',
      () => call('POST', '/v1/executions', { body: { agent: 'nobody', input } }),
      404,
      'agent_unknown',
    ],
    [
      'an input that the agent refuses',
      () => call('POST', '/v1/executions', { body: { agent: 'writer', input: { topic: 'x' } } }),
      422,
      'input_invalid',
    ],
    [
      'an id with a slash',
      () => call('POST', '/v1/executions', { body: { agent: 'writer', input, id: 'a/b' } }),
      422,
      'invalid_request',
    ],
    [
      'options out of range',
      () => call('POST', '/v1/executions', { body: { agent: 'writer', input, options: { priority: 1000 } } }),
      422,
      'invalid_request',
    ],
    [
      'a body of 11 MiB',
      () =>
        call('POST', '/v1/executions', {
          raw: JSON.stringify({ agent: 'writer', input: 'x'.repeat(11 * 1024 * 1024) }),
        }),
      413,
      'payload_too_large',
    ],
    [
      'a very deep input',
      () =>
        call('POST', '/v1/executions', {
          raw: `{"agent":"writer","input":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
        }),
      400,
      'invalid_json',
    ],
    [
      'another content type',
      () => call('POST', '/v1/executions', { raw: 'x', headers: { 'content-type': 'text/xml' } }),
      415,
      'unsupported_media_type',
    ],
    ['an unknown route', () => call('GET', '/v1/nothing'), 404, 'not_found'],
    ['an unknown execution', () => call('GET', '/v1/executions/none'), 404, 'execution_unknown'],
    [
      'a signal to an unknown execution',
      () => call('POST', '/v1/executions/none/signals', { body: { name: 'go' } }),
      404,
      'execution_unknown',
    ],
    ['a foreign cursor', () => call('GET', '/v1/executions?cursor=zzz'), 422, 'invalid_request'],
    ['a malformed position', () => call('GET', '/v1/executions?min_position=1'), 422, 'invalid_request'],
  ]
  it.each(cases)('%s', async (_name, request, status, code) => {
    const reply = await request()
    expect([reply.status, reply.body.code]).toEqual([status, code])
    expect(reply.headers.get('content-type')).toBe('application/problem+json')
    expect(reply.body).toMatchObject({
      type: `urn:omium:error:${code}`,
      title: expect.any(String),
      detail: expect.any(String),
      requestId: reply.headers.get('x-request-id'),
    })
  })

  it('a Last-Event-ID that no stream sent', async () => {
    const { id } = await start()
    const headers = { accept: 'text/event-stream', 'last-event-id': 'x' }
    const { status, body } = await call('GET', `/v1/executions/${id}/events`, { headers })
    expect([status, body.code]).toEqual([422, 'invalid_request'])
  })

  it('name each place that does not fit', async () => {
    const { body } = await call('POST', '/v1/executions', { body: { agent: '?', id: ' ' } })
    expect(body.errors.map(({ path }: { path: string }) => path).sort()).toEqual(['agent', 'id'])
  })

  it('a position that is never reached is answered after a bounded wait', async () => {
    const { status, body } = await call('GET', '/v1/executions?min_position=0:999999999')
    expect([status, body.code]).toEqual([412, 'offset_not_reached'])
  })
})

describe('tenants', () => {
  it("see another's execution nowhere", async () => {
    const { id, position } = await start()
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    const foreign = { key: keyB }
    for (const path of ['', '/result', '/steps', '/events', '/journal', `/diff/${id}`]) {
      const { status, body } = await call('GET', `/v1/executions/${id}${path}`, foreign)
      expect([path, status, body.code]).toEqual([path, 404, 'execution_unknown'])
    }
    for (const [path, body] of [
      ['signals', { name: 'go' }],
      ['approvals', { path: 'a#1', decision: 'approved' }],
      ['pause', undefined],
      ['resume', undefined],
      ['cancel', undefined],
      ['fork', {}],
      ['fork/preview', {}],
      ['rollback', { toPath: null }],
      ['rollback/preview', { toPath: null }],
      ['resolve', { path: 'a#1', resolution: { status: 'retry' } }],
    ] as const) {
      const reply = await call('POST', `/v1/executions/${id}/${path}`, { ...foreign, ...(body && { body }) })
      expect([path, reply.status, reply.body.code]).toEqual([path, 404, 'execution_unknown'])
    }
    expect((await call('GET', '/v1/executions', foreign)).body.items).toEqual([])
    const ownId = newId()
    const own = await start(ownId, {
      agent: 'writer',
      input,
      id: ownId,
      options: { labels: { replay: 'rpl-a', team: 'x:y' } },
    })
    await call('GET', `/v1/executions/${own.id}?min_position=${own.position}`)
    const replayed = await call('POST', '/v1/replays', { ...foreign, body: { runs: { ids: [id] } } })
    expect(replayed.body).toMatchObject({ started: [], refused: [{ of: id, error: { code: 'execution_unknown' } }] })
    const report = await call('GET', '/v1/replays/rpl-a', foreign)
    expect([report.status, report.body.code]).toEqual([404, 'not_found'])
    const labelled = (key: string) => call('GET', '/v1/executions?label=team:x:y&label=replay:rpl-a', { key })
    expect((await labelled(keyA)).body.items).toMatchObject([{ id: own.id }])
    expect((await labelled(keyB)).body.items).toEqual([])
  })

  it('may both use the same id', async () => {
    const { id } = await start()
    const { status } = await call('POST', '/v1/executions', { key: keyB, body: { agent: 'writer', input, id } })
    expect(status).toBe(201)
    await pool.query("DELETE FROM executions.executions WHERE tenant = 'ten_b'")
  })
})

describe('commands', () => {
  it('are answered with what was decided', async () => {
    const { id } = await start()
    const signal = await call('POST', `/v1/executions/${id}/signals`, {
      body: { name: 'go', payload: { n: 1 }, id: 's1' },
    })
    expect([signal.status, signal.body.deduplicated]).toEqual([200, false])
    const again = await call('POST', `/v1/executions/${id}/signals`, {
      body: { name: 'go', payload: { n: 1 }, id: 's1' },
    })
    expect([again.status, again.body.deduplicated]).toEqual([200, true])
    // no body at all, and an empty one with a content type
    expect((await call('POST', `/v1/executions/${id}/pause`)).status).toBe(200)
    expect((await call('POST', `/v1/executions/${id}/resume`, { raw: '' })).status).toBe(200)
    const approval = await call('POST', `/v1/executions/${id}/approvals`, {
      body: { path: 'a#1', decision: 'approved' },
    })
    expect([approval.status, approval.body.code]).toEqual([404, 'approval_unknown'])
    const cancel = await call('POST', `/v1/executions/${id}/cancel`, { body: { reason: 'enough' } })
    const { body } = await call('GET', `/v1/executions/${id}?min_position=${cancel.body.position}`)
    expect(body.status).toBe('cancelled')
    const late = await call('POST', `/v1/executions/${id}/signals`, { body: { name: 'go' } })
    expect([late.status, late.body.code]).toEqual([409, 'execution_finished'])
  })

  it('with an idempotency key are decided once', async () => {
    const { id } = await start()
    const headers = { 'idempotency-key': 'k1' }
    expect((await call('POST', `/v1/executions/${id}/pause`, { headers })).body.deduplicated).toBe(false)
    expect((await call('POST', `/v1/executions/${id}/pause`, { headers })).body.deduplicated).toBe(true)
    const other = await call('POST', `/v1/executions/${id}/resume`, { headers })
    expect([other.status, other.body.code]).toEqual([409, 'idempotency_conflict'])
  })

  it('fork takes the recorded results over, up to a step', async () => {
    const { id } = await start()
    await engine.write('ten_a', id, started, step(1, 'one'), step(2, 'x'.repeat(100)), step(3), completed)
    await call('GET', `/v1/executions/${id}/result?wait_ms=5000`)
    const fork = await call('POST', `/v1/executions/${id}/fork`, {
      body: { toPath: 'step#2', input: { topic: 'other' } },
    })
    expect(fork.status).toBe(201)
    const command = engine.commands.at(-1)
    expect(command?.data).toMatchObject({
      input: { inline: { topic: 'other' } },
      forkedFrom: {
        executionId: id,
        uptoPath: 'step#2',
        seed: {
          inline: [
            { path: 'step#1', status: 'completed', kind: 'step', requestHash: '*', value: 'one' },
            { path: 'step#2', status: 'completed', kind: 'step', requestHash: '*', value: 'x'.repeat(100) },
          ],
        },
      },
    })
    const { body } = await call('GET', `/v1/executions/${fork.body.executionId}?min_position=${fork.body.position}`)
    expect(body.forkedFrom).toBe(id)
    const pages = await Promise.all(
      ['', '&cursor=2'].map((cursor) => call('GET', `/v1/executions/${id}/journal?limit=2${cursor}`)),
    )
    expect(pages.map(({ body: { items, nextCursor } }) => [items.length, nextCursor])).toEqual([
      [2, '2'],
      [1, undefined],
    ])
    expect(pages[0]?.body.items[0]).toMatchObject({ name: 'step', entry: { path: 'step#1', value: 'one' } })
    const unknown = await call('POST', `/v1/executions/${id}/fork`, { body: { toPath: 'nowhere#1' } })
    expect([unknown.status, unknown.body.code]).toEqual([404, 'step_unknown'])
  })
})

describe('a replay', () => {
  it('is what its id was first used for: it cannot be had again with other runs, changes or budgets', async () => {
    const ids: string[] = []
    for (let i = 0; i < 3; i++) {
      const { id } = await start()
      await engine.write('ten_a', id, started, step(1), completed)
      await call('GET', `/v1/executions/${id}/result?wait_ms=5000`)
      ids.push(id)
    }
    const runs = { ids: [ids[0], ids[1]] }
    const body = { id: 'rpl-once', runs, budget: { totalMicroCredits: 1000 } }
    const replay = (change: object) => call('POST', '/v1/replays', { body: { ...body, ...change } })
    const startedOf = (answer: { body: { started: { of: string }[] } }) =>
      answer.body.started.map(({ of }) => of).sort()
    const first = await replay({})
    expect([first.status, startedOf(first)]).toEqual([201, [ids[0], ids[1]].sort()])
    const budgets = engine.commands.slice(-2).map(({ data }) => (data as { options: object }).options)
    expect(budgets).toMatchObject([{ budgetMicroCredits: 500 }, { budgetMicroCredits: 500 }])
    const again = await replay({})
    expect([again.status, again.body.started.length, startedOf(again)]).toEqual([201, 2, startedOf(first)])
    const others = [
      { budget: { totalMicroCredits: 9000 } },
      { runs: { ids: [ids[0], ids[2]] } },
      { runs: { ids: [ids[2]] } },
      { overrides: { models: { '*': 'other' } } },
    ]
    const forks = async () => (await call('GET', '/v1/executions?label=replay:rpl-once')).body.items.length
    for (const other of others) {
      const { status, body } = await replay(other)
      expect([status, body.code]).toEqual([409, 'execution_conflict'])
    }
    expect(await forks()).toBe(2)
  })
})

describe('the result', () => {
  it('is waited for by a long poll that ends with the execution', async () => {
    const { id, position } = await start()
    const waiting = call('GET', `/v1/executions/${id}/result?wait_ms=20000&min_position=${position}`)
    await engine.write('ten_a', id, started, step(1))
    await engine.write('ten_a', id, completed)
    const { status, body } = await waiting
    expect(status).toBe(200)
    expect(body).toMatchObject({ status: 'completed', output: 'done', stepsCompleted: 1 })
  })

  it('is 202 with how the execution stands when the wait is over', async () => {
    const { id, position } = await start()
    const { status, body } = await call('GET', `/v1/executions/${id}/result?wait_ms=50&min_position=${position}`)
    expect([status, body.status]).toEqual([202, 'queued'])
  })
})

describe('events', () => {
  it('come in pages', async () => {
    const { id } = await start()
    await engine.write('ten_a', id, started, step(1), step(2), completed)
    await call('GET', `/v1/executions/${id}/result?wait_ms=5000`)
    const first = (await call('GET', `/v1/executions/${id}/events?limit=3`)).body
    const second = (await call('GET', `/v1/executions/${id}/events?limit=3&cursor=${first.nextCursor}`)).body
    expect(versions([...first.items, ...second.items])).toEqual([1, 2, 3, 4, 5])
    expect(second.nextCursor).toBeUndefined()
    const steps = (await call('GET', `/v1/executions/${id}/steps`)).body.items
    expect(steps).toMatchObject([
      { path: 'step#1', status: 'completed', output: { n: 1 }, durationMs: 3 },
      { path: 'step#2', status: 'completed', output: { n: 2 } },
    ])
  })

  it('stream history first, then live, and end with the execution', async () => {
    const { id, position } = await start()
    await engine.write('ten_a', id, started, step(1))
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    const streaming = sse(`/v1/executions/${id}/events`, () => false)
    for (let n = 2; n <= 6; n++) {
      await engine.write('ten_a', id, step(n))
    }
    await engine.write('ten_a', id, completed)
    const { events, status } = await streaming
    expect(status).toBe(200)
    expect(versions(events)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(events.at(-1)?.type).toBe('ExecutionCompleted')
  })

  it('resume after the last id without a gap or a repeat, however often the reader is cut', async () => {
    const { id, position } = await start()
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    const writing = (async () => {
      await engine.write('ten_a', id, started)
      for (let n = 1; n <= 60; n++) await engine.write('ten_a', id, step(n))
      await engine.write('ten_a', id, completed)
    })()
    const seen: number[] = []
    for (let cut = 0; !seen.includes(63); cut++) {
      const last = seen.at(-1)
      const { events } = await sse(
        `/v1/executions/${id}/events`,
        (sofar) => sofar.length >= 3 + (cut % 9),
        last === undefined ? {} : { 'last-event-id': String(last) },
      )
      seen.push(...versions(events))
    }
    await writing
    expect(seen).toEqual(Array.from({ length: 63 }, (_, i) => i + 1))
    await eventually(async () => expect((await call('GET', `/v1/executions/${id}`)).body.status).toBe('completed'))
    const over = await sse(`/v1/executions/${id}/events`, () => false, { 'last-event-id': '63' })
    expect(over.status).toBe(204)
  })

  it('span many pages of history while the run goes on', async () => {
    const { id, position } = await start()
    await engine.write('ten_a', id, started)
    for (let n = 1; n <= 1_100; n += 100) {
      await engine.write('ten_a', id, ...Array.from({ length: 100 }, (_, i) => step(n + i)))
    }
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    const streaming = sse(`/v1/executions/${id}/events`, () => false)
    for (let n = 1_101; n <= 1_300; n++) await engine.write('ten_a', id, step(n))
    await engine.write('ten_a', id, completed)
    expect(versions((await streaming).events)).toEqual(Array.from({ length: 1_303 }, (_, i) => i + 1))
  })

  it('show live output without an id, and not to those who want none', async () => {
    const { id, position } = await start()
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    await engine.write('ten_a', id, started)
    const onError = () => undefined
    const url = env['OMIUM_REDIS_URL'] ?? ''
    const publisher = createDeltaPublisher({ url, topicPrefix: env['OMIUM_TOPIC_PREFIX'] ?? '', onError })
    const read = async (query: string) => {
      const headers = { authorization: `Bearer ${keyA}`, accept: 'text/event-stream' }
      return fetch(`${gateway.url}/v1/executions/${id}/events${query}`, { headers })
    }
    const [watched, unwatched] = await Promise.all([read(''), read('?deltas=false')])
    let text = ''
    const reading = (async () => {
      for await (const chunk of watched.body ?? []) text += Buffer.from(chunk).toString()
    })()
    await eventually(() => {
      publisher.publish('ten_a', id, { path: 'chat#1', attempt: 1, text: 'Hello' })
      expect(text).toContain('\n\nevent: delta\ndata: {"path":"chat#1","attempt":1,"text":"Hello"}\n\n')
    })
    await engine.write('ten_a', id, completed)
    await reading
    expect(text).toContain('event: ExecutionCompleted')
    expect(await unwatched.text()).not.toContain('delta')
    publisher.close()
  })

  it('cut off a reader that does not read, which may resume', async () => {
    const { id, position } = await start()
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    await engine.write('ten_a', id, started)
    const { hostname, port } = new URL(gateway.url)
    const socket = connect(Number(port), hostname)
    socket.write(
      `GET /v1/executions/${id}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${keyA}\r\naccept: text/event-stream\r\n\r\n`,
    )
    socket.pause()
    const cut = new Promise((resolve) => socket.once('close', resolve))
    socket.once('error', () => undefined)
    for (let n = 1; n <= 300; n++) await engine.write('ten_a', id, step(n, 'x'.repeat(60_000)))
    await eventually(async () => {
      const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
      expect(metrics).toMatch(/omium_gateway_subscriptions 0/)
    })
    socket.resume()
    await cut
  })

  it('are kept alive by comments while nothing happens', async () => {
    const { id, position } = await start()
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    const { events } = await sse(`/v1/executions/${id}/events`, (_events, comments) => comments === 3)
    expect(versions(events)).toEqual([1])
  })
})

describe('long polls', () => {
  it('leave nothing behind on a connection that is used again and again', async () => {
    const { id } = await start()
    const warnings: Error[] = []
    const keep = (warning: Error) => warnings.push(warning)
    process.on('warning', keep)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const poll = () =>
      new Promise<number | undefined>((resolve, reject) => {
        const url = `${gateway.url}/v1/executions/${id}/result?wait_ms=1`
        get(url, { agent, headers: { authorization: `Bearer ${keyA}` } }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode))
        }).on('error', reject)
      })
    for (let i = 0; i < 15; i++) expect(await poll()).toBe(202)
    await delay(10)
    agent.destroy()
    process.off('warning', keep)
    expect(warnings).toEqual([])
  })
})

describe('the platform', () => {
  it('tells workers where the engines are, with a token that engines verify', async () => {
    await eventually(async () => {
      const { status, body } = await call('POST', '/v1/workers/connect')
      expect(status).toBe(200)
      expect(body.endpoints).toEqual([world.endpoint])
      expect(verifyWorkerToken(world.env['OMIUM_TOKEN_SECRET'] ?? '', body.token, Date.now())).toMatchObject({
        tenant: 'ten_a',
      })
    })
  })

  it('lists failures, newest first', async () => {
    const { id } = await start()
    await engine.write('ten_a', id, started, {
      type: 'ExecutionFailed',
      data: { attempt: 1, error: { code: 'agent_threw', detail: 'boom', retryable: false } },
    })
    await call('GET', `/v1/executions/${id}/result?wait_ms=5000`)
    const { body } = await call('GET', `/v1/failures?execution=${id}`)
    expect(body.items).toMatchObject([{ executionId: id, agent: 'writer', code: 'agent_threw', final: true }])
  })

  it('describes itself in OpenAPI 3.1 and is ready', async () => {
    const { body } = await call('GET', '/openapi.json', { key: null })
    expect(body.openapi).toBe('3.1.0')
    expect(Object.keys(body.paths)).toContain('/v1/executions/{id}/events')
    expect((await call('GET', '/ready', { key: null })).status).toBe(200)
    const metrics = await fetch(`${gateway.url}/metrics`)
    expect(await metrics.text()).toContain('omium_gateway_request_seconds_count')
  })

  it('honours the revocation of a key within five seconds', async () => {
    const key = newApiKey()
    const [keyId] = await putTenants(env['OMIUM_DATABASE_URL'] ?? '', env, { tenant: 'ten_b', apiKey: key })
    expect((await call('GET', '/v1/executions', { key })).status).toBe(200)
    await pool.query("UPDATE identity.api_keys SET revoked_at = now() WHERE tenant = 'ten_b' AND id = $1", [keyId])
    await eventually(async () => expect((await call('GET', '/v1/executions', { key })).status).toBe(401), {
      timeoutMs: 6_000,
    })
  })
})

describe('the process', () => {
  it('answers, and on SIGTERM ends its streams and itself, in order', async () => {
    const { id, position } = await start()
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    const service = await spawnService('gateway/src/main.ts', env, { readyLine: /"msg":"listening"/ })
    const url = /"url":"(http:[^"]+)"/.exec(service.output())?.[1]
    await eventually(async () => expect((await fetch(`${url}/ready`)).status).toBe(200), { timeoutMs: 30_000 })
    const headers = { authorization: `Bearer ${keyA}`, accept: 'text/event-stream' }
    const stream = await fetch(`${url}/v1/executions/${id}/events`, { headers })
    const chunks = stream.body?.values() as AsyncIterator<Uint8Array>
    let text = ''
    while (!text.includes('event: ExecutionRequested'))
      text += Buffer.from((await chunks.next()).value ?? []).toString()
    await service.stop()
    // the stream ended instead of breaking
    while (!(await chunks.next()).done);
    expect(await service.exited).toMatchObject({ code: 0 })
    expect(service.output()).not.toContain(keyA)
  })

  it('killed and started again, serves the rest of a stream from the last id on', async () => {
    const { id, position } = await start()
    await call('GET', `/v1/executions/${id}?min_position=${position}`)
    await engine.write('ten_a', id, started)
    const seen: number[] = []
    const writing = (async () => {
      for (let n = 1; n <= 40; n++) {
        await engine.write('ten_a', id, step(n))
        await delay(20)
      }
    })()
    for (let life = 0; life < 2; life++) {
      const service = await spawnService('gateway/src/main.ts', env, { readyLine: /"msg":"listening"/ })
      const url = /"url":"(http:[^"]+)"/.exec(service.output())?.[1]
      const headers = {
        authorization: `Bearer ${keyA}`,
        accept: 'text/event-stream',
        'last-event-id': String(seen.at(-1) ?? 0),
      }
      const stream = await fetch(`${url}/v1/executions/${id}/events`, { headers })
      if (life === 1) {
        await writing
        await engine.write('ten_a', id, completed)
      }
      let text = ''
      try {
        for await (const chunk of stream.body ?? []) {
          text += Buffer.from(chunk).toString()
          const whole = text.split('\n\n').slice(0, -1)
          if (life === 0 && whole.length >= 5) await service.kill()
        }
      } catch {
        // killed in the middle of a word
      }
      for (const block of text.split('\n\n').slice(0, -1)) {
        const version = /^id: (\d+)$/m.exec(block)?.[1]
        if (version) seen.push(Number(version))
      }
      if (life === 1) await service.kill()
    }
    expect(seen).toEqual(Array.from({ length: 43 }, (_, i) => i + 1))
  })

  it('names every setting that is wrong and exits with 1', async () => {
    const service = await spawnService('gateway/src/main.ts', {
      ...env,
      OMIUM_TOKEN_SECRET: 'short',
      OMIUM_GATEWAY_DATABASE_URL: '',
    })
    expect(await service.exited).toMatchObject({ code: 1 })
    expect(service.output()).toMatch(/settings_invalid/)
    expect(service.output()).toMatch(
      /OMIUM_TOKEN_SECRET.*OMIUM_GATEWAY_DATABASE_URL|OMIUM_GATEWAY_DATABASE_URL.*OMIUM_TOKEN_SECRET/s,
    )
    expect(service.output()).not.toContain('short')
  })
})

describe('people', () => {
  it('sign in here; tokens that this installation did not sign are nobody', async () => {
    const { keys } = (await (await fetch(`${gateway.url}/.well-known/jwks.json`)).json()) as { keys: object[] }
    expect(keys).toMatchObject([{ kty: 'OKP', alg: 'EdDSA' }])
    // the page is under the address that people use (OMIUM_URL), where the cookies belong
    const page = await fetch(`${gateway.url}/auth/sign-in`, { redirect: 'manual' })
    expect([page.status, page.headers.get('location')]).toEqual([307, 'http://127.0.0.1:8080/auth/sign-in'])
    const claims = Buffer.from(JSON.stringify({ sub: 'usr_a', sid: 'ses_a', tenant: 'ten_a' })).toString('base64url')
    const unsigned = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${claims}.`
    for (const headers of [{ authorization: `Bearer ${unsigned}` }, { cookie: `omium_access=${unsigned}` }])
      expect((await call('GET', '/v1/executions', { key: null, headers })).status).toBe(401)
    const foreign = { cookie: `omium_access=${unsigned}`, 'sec-fetch-site': 'cross-site' }
    expect((await call('POST', '/v1/executions', { key: null, headers: foreign, body: {} })).body.code).toBe(
      'origin_refused',
    )
  })
})
