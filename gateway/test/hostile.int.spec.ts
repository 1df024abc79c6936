import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { putTenants } from '@omium/access/testing'
import { eventually, newApiKey, spawnService } from '@omium/dev/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type GatewayWorld, keyA, keyB, startGatewayWorld } from './gateway-world.ts'
import { largeSteps } from './started-runs.ts'

/** Peers that mean harm, or stop: bytes on the wire that no client would send, and readers that do not read. */
const streamsPerTenant = 4
const patient = { timeoutMs: 30_000 }
let world: GatewayWorld
let counter = 0
const sockets = new Set<Socket | WebSocket>()

beforeAll(async () => {
  world = await startGatewayWorld({ limits: { heartbeatMs: 10_000, slowReaderMs: 500, streamsPerTenant } })
}, 240_000)
afterEach(async () => {
  for (const socket of sockets) socket instanceof WebSocket ? socket.terminate() : socket.destroy()
  sockets.clear()
  // whatever was sent: the next one is served
  expect((await fetch(`${world.gateway.url}/health`)).status).toBe(200)
})
afterAll(() => world?.close())

const authorization = `authorization: Bearer ${keyA}\r\n`
const start = async () => {
  const id = `hostile-${++counter}`
  const { status } = await world.call('POST', '/v1/executions', {
    body: { agent: 'writer', input: { topic: 'harm' }, id },
  })
  expect(status).toBe(201)
  return id
}

/** A connection of its own: what is written to it, and all that comes back. */
const dial = (text: string | Buffer) => {
  const { hostname, port } = new URL(world.gateway.url)
  const socket = connect(Number(port), hostname)
  sockets.add(socket)
  socket.on('error', () => undefined)
  let received = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
  })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.write(text)
  return { socket, closed, received: () => received }
}

describe('requests that could be read in two ways', () => {
  const smuggled = 'GET /v1/agents HTTP/1.1\r\nhost: smuggled\r\n\r\n'
  const post = (headers: string, body = '') =>
    `POST /v1/executions HTTP/1.1\r\nhost: x\r\n${authorization}content-type: application/json\r\n${headers}\r\n${body}${smuggled}`

  it.each([
    ['two lengths', post('content-length: 0\r\ncontent-length: 5\r\n')],
    ['a length and chunks', post('content-length: 5\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n')],
    ['chunks and a length', post('transfer-encoding: chunked\r\ncontent-length: 5\r\n', '0\r\n\r\n')],
    ['chunks that are not the last coding', post('transfer-encoding: chunked, identity\r\n', '0\r\n\r\n')],
    ['two codings', post('transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n', '0\r\n\r\n')],
    ['a coding that is nearly one', post('transfer-encoding: xchunked\r\n', '0\r\n\r\n')],
    ['a length with a sign', post('content-length: +5\r\n', 'abcde')],
    ['a length in hexadecimal', post('content-length: 0x5\r\n', 'abcde')],
    ['a blank before the colon', post('content-length : 5\r\n', 'abcde')],
    ['a line that is folded', post('x-a: b\r\n content-length: 5\r\n', 'abcde')],
    ['lines that end in a line feed alone', post('content-length: 5\n', 'abcde')],
    ['a header that hides another', post('x-a: b\rcontent-length: 5\r\n', 'abcde')],
    ['a NUL in a header', post('x-a: \0\r\n')],
    ['a chunk of no length', post('transfer-encoding: chunked\r\n', 'zz\r\nabc\r\n0\r\n\r\n')],
    ['a chunk that is longer than any', post('transfer-encoding: chunked\r\n', 'fffffffffffffffff\r\nabc\r\n')],
    ['chunks that end in a line feed alone', post('transfer-encoding: chunked\r\n', '1\nx\n0\n\n')],
  ])('%s: one answer, and the end', async (_name, text) => {
    const { closed, received } = dial(text)
    await closed
    const answers = received()
      .toString()
      .match(/^HTTP\/1\.1 \d+/gm)
    // what a proxy may have taken for the next request of somebody else is never answered
    expect(answers).toEqual(['HTTP/1.1 400'])
    expect(received().toString()).toContain('"code":"malformed_request"')
  })
})

describe('names that mean something to JavaScript', () => {
  const polluted = () => (({}) as Record<string, unknown>)['polluted']

  it.each([
    ['in an input', '{"agent":"writer","input":{"topic":"aa","constructor":{"prototype":{"polluted":1}}}}', 201],
    ['as labels', '{"agent":"writer","input":{"topic":"aa"},"options":{"labels":{"__proto__":"x"}}}', undefined],
    ['as options', '{"agent":"writer","input":{"topic":"aa"},"options":{"__proto__":{"polluted":1}}}', undefined],
    ['as the agent', '{"agent":"__proto__","input":{"topic":"aa"}}', undefined],
    ['as the agent', '{"agent":"constructor","input":{"topic":"aa"}}', 404],
  ])('%s: %s', async (_where, raw, status) => {
    const reply = await world.call('POST', '/v1/executions', { raw })
    if (status === undefined) expect([201, 404, 422]).toContain(reply.status)
    else expect(reply.status).toBe(status)
    expect(polluted()).toBeUndefined()
  })

  it('in queries and paths', async () => {
    for (const [path, status] of [
      ['/v1/executions?__proto__[polluted]=1', 200],
      ['/v1/executions?__proto__=1&constructor=1', 200],
      ['/v1/executions/__proto__', 422],
      ['/v1/executions/constructor', 404],
      ['/v1/workflows/constructor', 404],
    ] as const)
      expect([path, (await world.call('GET', path)).status]).toEqual([path, status])
    expect(polluted()).toBeUndefined()
  })
})

const upgradeOf = (key: string): string =>
  `GET /v1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
  `sec-websocket-version: 13\r\nsec-websocket-key: ${randomBytes(16).toString('base64')}\r\n\r\n`

describe('a cursor that no list gave', () => {
  const forge = (key: unknown) => Buffer.from(JSON.stringify(key)).toString('base64url')
  const times = [
    '2021',
    'Tue Mar 01 2022',
    '+275760-09-13T00:00:00.000Z',
    '-000001-01-01T00:00:00.000Z',
    '0000-01-01T00:00:00.000Z',
  ]
  const forged = [
    'x',
    ...[null, {}, [], 'x', [1.5], [1e15], ['a\0'], [2 ** 31, 'x']].map(forge),
    ...times.flatMap((time) => [[time], [time, 'x'], [time, 'x', 1], ['x', time]].map(forge)),
    ...[1e15, 1.5, 2 ** 31].map((n) => forge(['2024-01-01T00:00:00.000Z', 'x', n])),
  ]

  it.each([
    '/v1/executions',
    '/v1/failures',
    '/v1/recoveries',
    '/v1/checkpoints',
    '/v1/webhooks',
    '/v1/keys',
    '/v1/members',
    '/v1/invitations',
    '/v1/sso/connections',
    '/v1/domains',
  ])('is refused by %s, whatever is in it', async (path) => {
    for (const cursor of forged) {
      const { status } = await world.call('GET', `${path}?cursor=${encodeURIComponent(cursor)}`)
      expect([cursor, status]).toEqual([cursor, 422])
    }
  })

  it('is the same for agents and steps, whose keys are a name and a number', async () => {
    const id = await start()
    for (const path of ['/v1/agents', `/v1/executions/${id}/steps`, `/v1/executions/${id}/events`])
      for (const cursor of [...forged, forge(['\ud800'])]) {
        const { status } = await world.call('GET', `${path}?cursor=${encodeURIComponent(cursor)}`)
        // one may happen to be what the list could give
        expect([200, 422]).toContain(status)
      }
  })
})

describe('frames that no client sends', () => {
  const upgrade = upgradeOf(keyB)
  /** A masked frame, with the mask 0. */
  const frame = (first: number, payload: Uint8Array = Buffer.alloc(0)) => {
    const { length } = payload
    const extended = length > 125 ? Buffer.from([length >> 8, length & 255]) : Buffer.alloc(0)
    const head = Buffer.from([first, 0x80 | (length > 125 ? 126 : length), ...extended, 0, 0, 0, 0])
    return Buffer.concat([head, payload])
  }
  const text = 0x81
  /** The code of the close frame that came. */
  const closeCode = (bytes: Buffer): number | undefined => {
    let at = bytes.indexOf('\r\n\r\n') + 4
    for (;;) {
      const [first, length = 0] = bytes.subarray(at)
      if (first === undefined) return undefined
      if (first === 0x88) return bytes.readUInt16BE(at + 2)
      at += length === 126 ? 4 + bytes.readUInt16BE(at + 2) : 2 + length
    }
  }

  it.each([
    ['one that is not masked', Buffer.from([text, 2, 0x68, 0x69]), 1002],
    ['a reserved bit', frame(0xc1, Buffer.from('hi')), 1002],
    ['a kind that there is not', frame(0x83), 1002],
    ['a ping of 126 bytes', frame(0x89, Buffer.alloc(126)), 1002],
    ['a ping in pieces', frame(0x09), 1002],
    ['a continuation of nothing', frame(0x80), 1002],
    ['a message in a message', Buffer.concat([frame(0x01, Buffer.from('a')), frame(text, Buffer.from('b'))]), 1002],
    ['a goodbye with a code that there is not', frame(0x88, Buffer.from([0x03, 0xed])), 1002],
    ['text that is no UTF-8', frame(text, Buffer.from([0xff, 0xfe])), 1007],
    [
      'more than 64 KiB in pieces',
      Buffer.concat([frame(0x01, Buffer.alloc(40_000, 97)), frame(0x80, Buffer.alloc(40_000, 97))]),
      1009,
    ],
    ['a length of 2 GiB', Buffer.from([text, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]), 1009],
    ['a length beyond numbers', Buffer.from([text, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]), 1009],
  ])('%s', async (_name, bytes, code) => {
    const { socket, received, closed } = dial(upgrade)
    await eventually(() => expect(received().toString('latin1')).toMatch(/^HTTP\/1\.1 101/))
    socket.write(bytes)
    await eventually(() => expect(closeCode(received())).toBe(code), patient)
    await closed
  })

  it('an upgrade that is none is refused', async () => {
    for (const [from, to] of [
      ['sec-websocket-version: 13', 'sec-websocket-version: 7'],
      [/sec-websocket-key: [^\r]+/, 'sec-websocket-key: short'],
    ] as const) {
      const { received, closed } = dial(upgrade.replace(from, to))
      await closed
      expect(received().toString()).toMatch(/^HTTP\/1\.1 4\d\d/)
    }
  })

  it.each([
    ['pings', frame(0x89, Buffer.alloc(125)), undefined],
    ['messages', frame(text, Buffer.from('{}')), 4008],
  ])('%s without end, whose answers nobody takes, end the connection', async (_name, flood, code) => {
    const { socket, received, closed } = dial(upgrade)
    await eventually(() => expect(received().toString('latin1')).toMatch(/^HTTP\/1\.1 101/))
    socket.pause()
    const many = Buffer.concat(Array.from({ length: 500 }, () => flood))
    const pump = setInterval(() => socket.writableLength < 1024 * 1024 && socket.write(many), 1)
    // the gateway takes no more of it
    await eventually(() => expect(socket.destroyed || socket.writableLength >= 1024 * 1024).toBe(true), patient)
    clearInterval(pump)
    socket.resume()
    if (code === undefined) await closed
    else await eventually(() => expect(closeCode(received())).toBe(code), patient)
  })
})

describe('a tenant that opens streams without end', () => {
  const sse = (execution: string, key = keyA) => {
    const { hostname, port } = new URL(world.gateway.url)
    const socket = connect(Number(port), hostname)
    sockets.add(socket)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.write(
      `GET /v1/executions/${execution}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\naccept: text/event-stream\r\n\r\n`,
    )
    const status = () => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])
    return {
      socket,
      text: () => text,
      answered: () => eventually(() => expect(status()).toBeGreaterThan(0)).then(status),
    }
  }

  it('gets some, in either way, and no more until one has ended; others go on', async () => {
    const id = await start()
    const streams = Array.from({ length: streamsPerTenant }, () => sse(id))
    for (const one of streams) expect(await one.answered()).toBe(200)
    const refused = sse(id)
    expect(await refused.answered()).toBe(429)
    expect(refused.text()).toContain('"code":"rate_limited"')
    const upgrading = new WebSocket(`${world.gateway.url.replace('http', 'ws')}/v1/stream`, {
      headers: { authorization: `Bearer ${keyA}` },
    })
    sockets.add(upgrading)
    const message = await new Promise<string>((resolve) => upgrading.on('error', (error) => resolve(error.message)))
    expect(message).toContain('429')
    const { body } = await world.call('POST', '/v1/executions', {
      key: keyB,
      body: { agent: 'writer', input: { topic: 'mine' } },
    })
    expect(await sse(body.executionId, keyB).answered()).toBe(200)
    streams[0]?.socket.destroy()
    await eventually(async () => expect(await sse(id).answered()).toBe(200), patient)
  })
})

describe('who leaves before a stream begins', () => {
  /** Runs while nobody can read the table. @returns when as many as that wait for it */
  const whileLocked = async (table: string, waiting: number, run: () => Promise<void> | void) => {
    const lock = await world.pool.connect()
    try {
      await lock.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)
      await run()
      await eventually(async () => {
        const { rows } = await lock.query('SELECT count(*)::int AS count FROM pg_locks WHERE NOT granted')
        expect(rows[0].count).toBeGreaterThanOrEqual(waiting)
      }, patient)
      for (const socket of sockets) if (!(socket instanceof WebSocket)) socket.destroy()
      // answered after what came before it
      for (let i = 0; i < 3; i++) expect((await fetch(`${world.gateway.url}/health`)).status).toBe(200)
    } finally {
      await lock.query('COMMIT')
      lock.release()
    }
  }
  const openSockets = async (key: string) => {
    const opened: WebSocket[] = []
    try {
      for (let i = 0; i < streamsPerTenant; i++) {
        const socket = new WebSocket(`${world.gateway.url.replace('http', 'ws')}/v1/stream`, {
          headers: { authorization: `Bearer ${key}` },
        })
        sockets.add(socket)
        opened.push(socket)
        await once(socket, 'open')
      }
    } catch (error) {
      // tried again: those that came through must not be in the way
      for (const socket of opened) socket.terminate()
      throw error
    }
  }

  it('keeps no place: server-sent events', async () => {
    const { body } = await world.call('POST', '/v1/executions', {
      key: keyB,
      body: { agent: 'writer', input: { topic: 'leaving' } },
    })
    await whileLocked('executions.executions', streamsPerTenant, () => {
      for (let i = 0; i < streamsPerTenant; i++)
        dial(
          `GET /v1/executions/${body.executionId}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${keyB}\r\naccept: text/event-stream\r\n\r\n`,
        )
    })
    await eventually(() => openSockets(keyB), patient)
  })

  it('keeps no place: WebSocket', async () => {
    const key = newApiKey()
    await putTenants(String(world.env['OMIUM_DATABASE_URL']), world.env as never, { tenant: 'ten_c', apiKey: key })
    await whileLocked('identity.api_keys', 1, () => {
      for (let i = 0; i < streamsPerTenant; i++) dial(upgradeOf(key))
    })
    await eventually(() => openSockets(key), patient)
  })
})

describe('a reader whose process is stopped', () => {
  it('is dropped with a code, while others are served, and resumes without a gap or a repeat', async () => {
    const id = await start()
    await world.engine.write('ten_a', id, { type: 'ExecutionStarted', data: { attempt: 1, workerId: 'w' } })
    const url = `${world.gateway.url.replace('http', 'ws')}/v1/stream`
    const follow = (after: number) =>
      spawnService('gateway/test/fixtures/stream-reader.ts', {}, { args: [url, keyA, id, String(after)] })
    const versionsOf = (output: string) =>
      [...output.matchAll(/^version (\d+)$/gm)].map(([, version]) => Number(version))
    const reader = await follow(0)
    await reader.waitForLine(/^version 2$/m)
    reader.pause()
    const isCut = async () => {
      const metrics = await (await fetch(`${world.gateway.url}/metrics`)).text()
      return /omium_gateway_subscriptions 0/.test(metrics)
    }
    let steps = 0
    while (steps < 500 && !(await isCut()))
      for (let n = 0; n < 2; n++, steps += 10) await world.engine.write('ten_a', id, ...largeSteps(steps + 1, 10))
    reader.resume()
    await reader.waitForLine(/^closed 4008 slow_reader$/m, 30_000)
    const seen = versionsOf(reader.output())
    expect(seen.at(-1)).toBeLessThan(2 + steps)
    await world.engine.write('ten_a', id, {
      type: 'ExecutionCompleted',
      data: { attempt: 1, output: { inline: 'done' } },
    })
    // however often it is too slow for so much
    while (seen.at(-1) !== 3 + steps) {
      const again = await follow(seen.at(-1) ?? 0)
      await again.waitForLine(/^(ended|closed .*)$/m, 30_000)
      await again.kill()
      await again.exited
      seen.push(...versionsOf(again.output()))
    }
    expect(seen).toEqual(Array.from({ length: 3 + steps }, (_, i) => i + 1))
  })
})
