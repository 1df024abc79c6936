import { afterEach, describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import {
  event,
  type Handler,
  receipt,
  ScriptedGateway,
  sendJson,
  sendProblem,
  view,
} from '../../test/scripted-gateway.ts'
import { agent, omium } from '../index.ts'

const double = agent({ id: 'double', input: z.object({ n: z.number() }), run: async ({ n }) => ({ twice: n * 2 }) })

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('the client', () => {
  let gateway: ScriptedGateway
  const clientOf = async (handlers: Record<string, Handler>) => {
    gateway = await ScriptedGateway.listen(handlers)
    return omium({ url: gateway.url, apiKey: 'om_test_key' })
  }
  afterEach(() => gateway?.close())

  it('starts with an id of its own making and repeats the same request until the gateway can', async () => {
    const bodies: unknown[] = []
    const client = await clientOf({
      'POST /v1/executions': (request, response) => {
        bodies.push(request.body)
        expect(request.headers.authorization).toBe('Bearer om_test_key')
        if (bodies.length < 3) sendProblem(response, 503, 'unavailable', 'starting', true)
        else sendJson(response, 201, receipt((request.body as { id: string }).id))
      },
      'GET /v1/executions/x': (_, response) => sendJson(response, 200, view('x')),
    })
    const run = await client.start(double, { n: 2 }, { options: { priority: 5 } })
    expect(run.id).toMatch(/^exe_[0-9a-f]{32}$/)
    expect(bodies).toHaveLength(3)
    expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1)
    expect(bodies[0]).toMatchObject({ agent: 'double', input: { n: 2 }, options: { priority: 5 } })
    expectTypeOf(run.result).returns.resolves.toEqualTypeOf<{ twice: number }>()
  })

  it('waits for the result over several long polls', async () => {
    let polls = 0
    const client = await clientOf({
      'GET /v1/executions/run/result': (request, response) => {
        polls += 1
        expect(Number(request.query.get('wait_ms'))).toBeGreaterThan(0)
        sendJson(response, 200, view('run', polls < 3 ? {} : { status: 'completed', output: { twice: 4 } }))
      },
    })
    expect(await client.handle('run').result()).toEqual({ twice: 4 })
    expect(polls).toBe(3)
  })

  it('throws the error of a failed run, and says when one was cancelled', async () => {
    const error = {
      code: 'agent_threw',
      detail: 'it threw',
      retryable: false,
      cause: { name: 'TypeError', message: 'x' },
    }
    const client = await clientOf({
      'GET /v1/executions/bad/result': (_, response) =>
        sendJson(response, 200, view('bad', { status: 'failed', error })),
      'GET /v1/executions/gone/result': (_, response) => sendJson(response, 200, view('gone', { status: 'cancelled' })),
    })
    await expect(client.handle('bad').result()).rejects.toMatchObject({
      code: 'agent_threw',
      cause: { name: 'TypeError' },
    })
    await expect(client.handle('gone').result()).rejects.toMatchObject({ code: 'execution_cancelled' })
  })

  it('gives every event once and in order although connections break in the middle of one', async () => {
    const resumedFrom: (string | undefined)[] = []
    const frame = (version: number, type?: string) =>
      `id: ${version}\nevent: x\ndata: ${JSON.stringify(event(version, type))}\n\n`
    const client = await clientOf({
      'GET /v1/executions/run/events': (request, response) => {
        resumedFrom.push(request.headers['last-event-id'] as string | undefined)
        const from = Number(request.headers['last-event-id'] ?? 0)
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        if (from >= 4) {
          // a repeated event, as an at-least-once stream may send
          response.end(frame(4) + frame(5) + frame(6, 'ExecutionCompleted'))
          return
        }
        response.write(`: heartbeat\n\n${frame(from + 1)}${frame(from + 2)}`)
        response.write(frame(from + 3).slice(0, 20), () => response.destroy())
      },
    })
    const versions: number[] = []
    for await (const { version } of client.handle('run').events()) versions.push(version)
    expect(versions).toEqual([1, 2, 3, 4, 5, 6])
    expect(resumedFrom).toEqual([undefined, '2', '4'])
  })

  it('gives live output between events to whoever asks for it', async () => {
    const asked: (string | null)[] = []
    const client = await clientOf({
      'GET /v1/executions/run/events': (request, response) => {
        asked.push(request.query.get('deltas'))
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const delta = (text: string) =>
          `event: delta\ndata: ${JSON.stringify({ path: 'chat#1', attempt: 1, text })}\n\n`
        const frame = (version: number, type?: string) =>
          `id: ${version}\nevent: x\ndata: ${JSON.stringify(event(version, type))}\n\n`
        response.end(frame(1) + delta('Hel') + delta('lo') + frame(2, 'ExecutionCompleted'))
      },
    })
    const seen: (number | string)[] = []
    for await (const one of client.handle('run').events({ deltas: true }))
      seen.push('text' in one ? `${one.path} ${one.text}` : one.version)
    expect(seen).toEqual([1, 'chat#1 Hel', 'chat#1 lo', 2])
    seen.length = 0
    for await (const { version } of client.handle('run').events()) seen.push(version)
    expect(seen).toEqual([1, 2])
    expect(asked).toEqual(['true', 'false'])
  })

  it('ends when nothing follows the last event that it has seen', async () => {
    const client = await clientOf({ 'GET /v1/executions/run/events': (_, response) => response.writeHead(204).end() })
    expect(await collect(client.handle('run').events({ after: 9 }))).toEqual([])
  })

  it('reads what it has just written, however far the read model lags', async () => {
    const positions: (string | null)[] = []
    const answer =
      (body: unknown): Handler =>
      (request, response) => {
        positions.push(request.query.get('min_position'))
        sendJson(response, 200, body)
      }
    const client = await clientOf({
      'POST /v1/executions': (_, response) => sendJson(response, 201, receipt('run')),
      'GET /v1/executions/run': answer(view('run')),
      'GET /v1/executions/run/steps': answer({ items: [] }),
      'GET /v1/executions/run/result': answer(view('run', { status: 'completed', output: 1 })),
      'GET /v1/executions/run/events': (_, response) => response.writeHead(204).end(),
    })
    const run = await client.start('a', null)
    await run.get()
    await run.steps()
    await run.result()
    await collect(run.events())
    expect(positions).toEqual(['0:1', '0:1', '0:1', '0:1'])
  })

  it('takes a stream that has gone silent for dead', async () => {
    let connections = 0
    const client = await clientOf({
      'GET /v1/executions/run/events': (_, response) => {
        connections += 1
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        if (connections === 1) response.write(': heartbeat\n\n')
        else response.end(`id: 1\ndata: ${JSON.stringify(event(1, 'ExecutionFailed'))}\n\n`)
      },
    })
    const types: string[] = []
    for await (const { type } of client.handle('run').events({ silenceMs: 200 })) types.push(type)
    expect(types).toEqual(['ExecutionFailed'])
    // a busy machine may be late with the second answer, too
    expect(connections).toBeGreaterThan(1)
  })

  it('stops asking for events of a run that there is not', async () => {
    const client = await clientOf({
      'GET /v1/executions/none/events': (_, response) => sendProblem(response, 404, 'execution_unknown', 'no such run'),
    })
    await expect(collect(client.handle('none').events())).rejects.toMatchObject({ code: 'execution_unknown' })
    expect(gateway.asked).toHaveLength(1)
  })

  it('lists over all pages', async () => {
    const client = await clientOf({
      'GET /v1/executions': (request, response) => {
        const page = Number(request.query.get('cursor') ?? 0)
        expect(request.query.get('status')).toBe('failed')
        sendJson(response, 200, { items: [view(`run-${page}`)], ...(page < 2 && { nextCursor: String(page + 1) }) })
      },
    })
    const ids = (await collect(client.list({ status: 'failed', pageSize: 1 }))).map(({ id }) => id)
    expect(ids).toEqual(['run-0', 'run-1', 'run-2'])
  })

  it('repeats a signal under one id, and a pause under one key', async () => {
    const signals: unknown[] = []
    const pauses: unknown[] = []
    const client = await clientOf({
      'POST /v1/executions/run/signals': (request, response) => {
        signals.push((request.body as { id: string }).id)
        if (signals.length === 1) response.destroy()
        else sendJson(response, 202, receipt('run'))
      },
      'POST /v1/executions/run/pause': (request, response) => {
        pauses.push(request.headers['idempotency-key'])
        if (pauses.length % 2 === 1) response.destroy()
        else sendJson(response, 200, receipt('run'))
      },
    })
    const run = client.handle('run')
    await run.signal('go', { now: true })
    expect(signals).toHaveLength(2)
    expect(signals[0]).toBe(signals[1])
    await run.pause('lunch')
    await run.pause('tea')
    expect(pauses).toEqual([expect.any(String), pauses[0], expect.any(String), pauses[2]])
    expect(pauses[0]).not.toBe(pauses[2])
    expect(run.position).toBe('0:1')
  })

  it('forks, approves and resolves', async () => {
    const bodies: Record<string, unknown> = {}
    const keep: Handler = (request, response) => {
      bodies[request.path] = request.body
      sendJson(response, 200, receipt((request.body as { id?: string }).id ?? 'run'))
    }
    const client = await clientOf({
      'POST /v1/executions/run/fork': keep,
      'POST /v1/executions/run/approvals': keep,
      'POST /v1/executions/run/resolve': keep,
    })
    const run = client.handle('run')
    expect((await run.fork({ toPath: 'plan#1', id: 'forked' })).id).toBe('forked')
    await run.approve('approve#1', 'rejected', 'not yet')
    await run.resolve('pay#1', { status: 'completed', output: { paid: true } })
    expect(bodies).toEqual({
      '/v1/executions/run/fork': { id: 'forked', toPath: 'plan#1' },
      '/v1/executions/run/approvals': { path: 'approve#1', decision: 'rejected', comment: 'not yet' },
      '/v1/executions/run/resolve': { path: 'pay#1', resolution: { status: 'completed', output: { paid: true } } },
    })
  })

  it('says what it could not reach', async () => {
    // no service of today has this port, and no program is given it
    const client = omium({ url: 'http://127.0.0.1:2', apiKey: 'om_test_key' })
    await expect(client.handle('run').pause()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('ECONNREFUSED'),
    })
  })

  it('calls as it is told to, within one budget, and tells of every try', async () => {
    const tried: unknown[] = []
    const client = await clientOf({
      'POST /v1/executions/run/pause': (request, response) => {
        expect(request.headers['x-team']).toBe('docs')
        expect(request.headers['user-agent']).toMatch(/^omium-typescript\/\d+\.\d+\.\d+ node\/24/)
        sendProblem(response, 503, 'unavailable', 'starting', true)
      },
    })
    const hasty = client.withOptions({ maxTries: 1 }).withOptions({
      maxTries: 2,
      headers: { 'x-team': 'docs' },
      onTry: ({ requestId, tookMs, retryInMs, error, ...rest }) =>
        tried.push({ ...rest, code: error?.code, again: retryInMs !== undefined }),
    })
    await expect(hasty.handle('run').pause()).rejects.toMatchObject({ code: 'unavailable' })
    const one = {
      method: 'POST',
      path: '/v1/executions/run/pause',
      idempotencyKey: expect.any(String),
      status: 503,
      code: 'unavailable',
    }
    expect(tried).toEqual([
      { ...one, attempt: 1, again: true },
      { ...one, attempt: 2, again: false },
    ])
  })

  it('ends what is under way when it is told to, with the reason', async () => {
    const stop = new AbortController()
    const client = await clientOf({
      'GET /v1/executions/run': () => stop.abort(new Error('the user has left')),
      'GET /v1/executions/run/result': (_, response) => sendProblem(response, 503, 'unavailable', 'starting', true),
      'GET /v1/executions/run/events': (_, response) => response.writeHead(200).write(': heartbeat\n\n'),
    })
    const hasty = client.withOptions({ signal: stop.signal })
    const waiting = hasty.handle('run').result()
    const streaming = collect(hasty.handle('run').events())
    await expect(hasty.get('run')).rejects.toThrow('the user has left')
    await expect(waiting).rejects.toThrow('the user has left')
    expect(await streaming).toEqual([])
    await expect(hasty.me()).rejects.toThrow('the user has left')
    expect(gateway.asked).not.toContain('GET /v1/me')
  })

  it('sends a request of one key as one', async () => {
    const keys: unknown[] = []
    const client = await clientOf({
      'PATCH /v1/tenant': (request, response) => {
        keys.push(request.headers['idempotency-key'])
        sendJson(response, 200, {})
      },
    })
    await client.request('PATCH', '/v1/tenant', { body: { name: 'Ours' }, idempotencyKey: 'mine' })
    expect(keys).toEqual(['mine'])
  })
})
