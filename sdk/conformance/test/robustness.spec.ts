import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Answer, clientNames, startDriver } from '../src/drivers.ts'

/** What clients make of answers that no gateway gives: cut anywhere, too late, or from somebody else. */

/** characters of one to four bytes, two of which some take for ends of lines */
const hard = 'a ä \u0085 \u2028 \u2029 \u{1F9EA} z'
const event = (version: number, type = 'StepCompleted') => ({
  id: `evt_${version}`,
  type,
  version,
  time: '2026-01-01T00:00:00.000Z',
  actor: 'engine',
  position: `0:${version}`,
  data: { hard, version },
})
const frame = (version: number, type?: string): string =>
  `id: ${version}\nevent: ${type ?? 'StepCompleted'}\ndata: ${JSON.stringify(event(version, type))}\n\n`
const first = Buffer.from(`: heartbeat\n\n${frame(1)}`)
const second = Buffer.from(frame(2))
const third = Buffer.from(frame(3, 'ExecutionCompleted'))

const at = (text: string, more = 0): number => second.indexOf(text) + more
/** bytes of the second event that come before the connection breaks, by what is broken */
const cuts: Readonly<Record<string, number>> = {
  'between events': 0,
  'a field name': 1,
  'an empty field': at(' 2'),
  'an id': at('2\n', 1),
  'after an id': at('2\n', 2),
  'the name of an event': at('event: Step', 9),
  'the start of data': at('data:', 5),
  'a JSON string': at('"hard"', 3),
  'after one of two bytes': at('ä', 1),
  'after one of two bytes of a line end that is none': at('\u0085', 1),
  'after two of three bytes': at('\u2028', 2),
  'after one of four bytes': at('\u{1F9EA}', 1),
  'after three of four bytes': at('\u{1F9EA}', 3),
  'the end of data': second.length - 2,
  'before the empty line': second.length - 1,
  'after the empty line': second.length,
}

type Handler = (request: IncomingMessage, response: ServerResponse, times: number) => void
const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}
const ended = { id: 'x', status: 'completed', output: hard }

const handlers: Readonly<Record<string, Handler>> = {
  'GET /v1/me': (_, response, times) => {
    const body = JSON.stringify({ tenant: hard })
    const half = body.slice(0, 5)
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    if (times > 2) response.end(body)
    // by an end, and by a reset
    else response.write(half, () => (times === 1 ? response.socket?.end() : response.socket?.resetAndDestroy()))
  },
  'GET /v1/executions/busy': (_, response, times) => {
    if (times === 1) response.writeHead(429, { 'retry-after': '1' }).end('<h1>slow down</h1>')
    else json(response, 200, ended)
  },
  'GET /v1/executions/dated': (_, response, times) => {
    const at = new Date(Date.now() + 2000).toUTCString()
    if (times === 1) response.writeHead(503, { 'retry-after': at }).end()
    else json(response, 200, ended)
  },
  'GET /v1/executions/moved': (_, response) =>
    response.writeHead(301, { location: 'https://elsewhere.example/' }).end(),
  'GET /v1/executions/silent/result': () => undefined,
  'GET /v1/executions/away/result': (_, response, times) => {
    if (times < 7) response.destroy()
    else json(response, 200, ended)
  },
  'POST /v1/executions/silent/pause': () => undefined,
  'GET /v1/executions/silent': () => undefined,
}

const startServer = async () => {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://x').pathname
    const name = `${request.method} ${path}`
    asked.push(name)
    const times = asked.filter((one) => one === name).length
    const handler = handlers[name]
    const [, cut] = /^\/v1\/executions\/cut-(\d+)\/events$/.exec(path) ?? []
    if (handler) handler(request, response, times)
    else if (cut === undefined) json(response, 200, ended)
    else {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const last = Number(request.headers['last-event-id'] ?? 0)
      const rest = Buffer.concat([first, second, third].slice(last))
      if (times > 1) response.end(rest)
      else response.write(Buffer.concat([first, second.subarray(0, Number(cut))]), () => response.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close }
}

/** A call, what came of it, how often the server was asked, and how long that took. */
interface Experience {
  readonly answer: Answer
  readonly asked: readonly string[]
  readonly seconds: number
}
type Options = { timeout: number; tries?: number }
const calls: Readonly<Record<string, readonly [call: string, given: unknown, options?: Options]>> = {
  ...Object.fromEntries(Object.entries(cuts).map(([name, cut]) => [name, ['events', { run: `cut-${cut}` }]])),
  broken: ['me', {}],
  busy: ['get', { run: 'busy' }],
  dated: ['get', { run: 'dated' }],
  moved: ['get', { run: 'moved' }],
  'silent result': ['result', { run: 'silent', timeout: 0.3 }],
  'silent pause': ['pause', { run: 'silent' }, { timeout: 0.1, tries: 2 }],
  away: ['result', { run: 'away', timeout: 60 }],
  'id of nothing': ['get', { run: '' }],
  'id of a folder': ['get', { run: '..' }],
}

/** by client, then by name; clients go through it side by side */
const experiences = new Map<string, Map<string, Experience>>()
beforeAll(
  () =>
    Promise.all(
      clientNames.map(async (client) => {
        const { url, asked, close } = await startServer()
        const driver = await startDriver(client, { OMIUM_URL: url, OMIUM_API_KEY: 'om_test_none' })
        const own = new Map<string, Experience>()
        experiences.set(client, own)
        for (const [name, [call, given, options]] of Object.entries(calls)) {
          asked.length = 0
          const begun = performance.now()
          const answer = await driver.call(call, given, options)
          own.set(name, { answer, asked: [...asked], seconds: (performance.now() - begun) / 1000 })
        }
        await driver.close()
        close()
      }),
    ),
  120_000,
)

describe.each(clientNames)('%s', (client) => {
  const of = (name: string): Experience => {
    const found = experiences.get(client)?.get(name)
    if (!found) throw new RangeError(`${client} has not gone through ${name}`)
    return found
  }

  it.each(Object.keys(cuts))('gives every event once when the stream is cut: %s', (name) => {
    const { answer, asked } = of(name)
    expect(answer).toEqual({ ok: [event(1), event(2), event(3, 'ExecutionCompleted')] })
    expect(asked.filter((one) => one.endsWith('/events'))).toHaveLength(2)
  })

  it('asks again for an answer that broke off', () => {
    expect(of('broken').answer).toEqual({ ok: { tenant: hard } })
    expect(of('broken').asked).toHaveLength(3)
  })

  it('waits for as long as somebody on the way says, in seconds or by the clock', () => {
    expect([of('busy').answer, of('busy').seconds >= 1]).toEqual([{ ok: ended }, true])
    // dates are as coarse as a second
    expect([of('dated').answer, of('dated').seconds >= 0.9]).toEqual([{ ok: ended }, true])
  })

  it('goes nowhere else', () => {
    const detail = expect.stringContaining('https://elsewhere.example/')
    expect(of('moved').answer).toMatchObject({ error: { code: 'internal', detail } })
  })

  it('gives up in time', () => {
    expect(of('silent result').answer).toMatchObject({ error: { code: 'timeout' } })
    expect(of('silent result').seconds).toBeLessThan(10)
    expect(of('silent pause').answer).toMatchObject({ error: { code: 'unavailable' } })
    expect(of('silent pause').asked).toHaveLength(2)
  })

  it('waits for a result for longer than it tries a call', () => {
    expect(of('away').answer).toEqual({ ok: hard })
    expect(of('away').asked).toHaveLength(7)
  })

  it('asks for nothing when an id is none', () => {
    for (const name of ['id of nothing', 'id of a folder']) {
      expect(of(name).answer).toMatchObject({ error: { code: 'invalid_request' } })
      expect(of(name).asked).toEqual([])
    }
  })
})
