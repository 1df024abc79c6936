import { once } from 'node:events'
import { putTenants } from '@omium/access/testing'
import { eventually, newApiKey } from '@omium/dev/testing'
import type { StreamMessage, StreamRequest } from '@omium/schemas'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type GatewayWorld, keyA, keyB, startGatewayWorld } from './gateway-world.ts'
import { completed, started, step } from './started-runs.ts'

/** Subscriptions over WebSockets, against the real log and read model. */
let world: GatewayWorld
let counter = 0
const sockets = new Set<WebSocket>()
const patient = { timeoutMs: 30_000 }

beforeAll(async () => {
  world = await startGatewayWorld({
    env: { OMIUM_CORS_ORIGINS: 'https://app.example' },
    limits: { heartbeatMs: 500, slowReaderMs: 1_000 },
  })
})
afterEach(() => {
  for (const socket of sockets) socket.terminate()
  sockets.clear()
})
afterAll(() => world?.close())

const start = async (key = keyA) => {
  const id = `streamed-${++counter}`
  const reply = await world.call('POST', '/v1/executions', {
    key,
    body: { agent: 'writer', input: { topic: 'ws' }, id },
  })
  expect(reply.status).toBe(201)
  return id
}

const open = async ({ key = keyA as string | null, at = world.gateway.url, origin = '' } = {}) => {
  const socket = new WebSocket(`${at.replace('http', 'ws')}/v1/stream`, {
    headers: { ...(key !== null && { authorization: `Bearer ${key}` }), ...(origin && { origin }) },
  })
  sockets.add(socket)
  const messages: StreamMessage[] = []
  socket.on('message', (data) => messages.push(JSON.parse(String(data)) as StreamMessage))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }))
  })
  await once(socket, 'open')
  const about = (subscription: string) =>
    messages.filter((message) => 'subscription' in message && message.subscription === subscription)
  const eventsOf = (subscription: string) =>
    about(subscription).flatMap((message) => (message.type === 'event' ? [message] : []))
  return {
    socket,
    messages,
    closed,
    send: (request: StreamRequest) => socket.send(JSON.stringify(request)),
    eventsOf,
    versions: (subscription: string) => eventsOf(subscription).map(({ event }) => event.version),
    until: <T extends StreamMessage['type']>(subscription: string, type: T) =>
      eventually(() => {
        const found = about(subscription).find((message) => message.type === type)
        expect(found, `${type} of ${subscription}`).toBeDefined()
        return found as StreamMessage & { type: T }
      }, patient),
  }
}
const refusal = (options: Parameters<typeof open>[0]) =>
  open(options).then(
    () => 'opened',
    (error: Error) => error.message,
  )

describe('a subscription to one run', () => {
  it('has history first, then what happens, and ends with the run', async () => {
    const id = await start()
    await world.engine.write('ten_a', id, started, step(1))
    const { send, until, versions } = await open()
    send({ type: 'subscribe', subscription: 'a', execution: id })
    await eventually(() => expect(versions('a')).toEqual([1, 2, 3]), patient)
    await world.engine.write('ten_a', id, step(2), completed)
    await until('a', 'ended')
    expect(versions('a')).toEqual([1, 2, 3, 4, 5])
  })

  it('resumes after a version without a gap or a repeat, however often the connection is cut', async () => {
    const id = await start()
    const writing = (async () => {
      await world.engine.write('ten_a', id, started)
      for (let n = 1; n <= 60; n++) await world.engine.write('ten_a', id, step(n))
      await world.engine.write('ten_a', id, completed)
    })()
    const seen: number[] = []
    for (let cut = 0; !seen.includes(63); cut++) {
      const connection = await open()
      connection.send({ type: 'subscribe', subscription: 'a', execution: id, after: seen.at(-1) ?? 0 })
      await eventually(
        () => connection.versions('a').length >= 2 + (cut % 7) || connection.versions('a').includes(63),
        patient,
      )
      connection.socket.terminate()
      await connection.closed
      seen.push(...connection.versions('a'))
    }
    await writing
    expect(seen).toEqual(Array.from({ length: 63 }, (_, i) => i + 1))
  })

  it('shares a connection with others and may be given up', async () => {
    const [a, b] = [await start(), await start()]
    const { send, until, versions } = await open()
    send({ type: 'subscribe', subscription: 'a', execution: a })
    send({ type: 'subscribe', subscription: 'b', execution: b })
    await eventually(() => expect([versions('a'), versions('b')]).toEqual([[1], [1]]), patient)
    send({ type: 'unsubscribe', subscription: 'a' })
    await until('a', 'ended')
    for (const id of [a, b]) await world.engine.write('ten_a', id, started)
    await eventually(() => expect(versions('b')).toEqual([1, 2]), patient)
    expect(versions('a')).toEqual([1])
    // the name is free again
    send({ type: 'subscribe', subscription: 'a', execution: a, after: 1 })
    await eventually(() => expect(versions('a')).toEqual([1, 2]), patient)
  })

  it('is refused for what there is not, what is of others, and what is no request; the connection goes on', async () => {
    const own = await start()
    const foreign = await start(keyB)
    const { socket, send, until, versions, messages } = await open()
    for (const [subscription, execution] of [
      ['none', 'there-is-none'],
      ['foreign', foreign],
    ] as const) {
      send({ type: 'subscribe', subscription, execution })
      expect((await until(subscription, 'error')).error.code).toBe('execution_unknown')
    }
    for (const text of ['{', '{"type":"subscribe"}', '[]', '{"type":"follow","subscription":"f","after":["9:1"]}'])
      socket.send(text)
    socket.send(Buffer.from([1, 2, 3]))
    send({ type: 'subscribe', subscription: 'own', execution: own })
    await eventually(() => expect(versions('own')).toEqual([1]), patient)
    send({ type: 'subscribe', subscription: 'own', execution: own })
    await eventually(() => {
      const codes = messages.flatMap((message) => (message.type === 'error' ? [message.error.code] : []))
      expect(codes.slice(2).sort()).toEqual(['invalid_json', 'invalid_json', ...Array(4).fill('invalid_request')])
    })
    await world.engine.write('ten_a', own, started)
    await eventually(() => expect(versions('own')).toEqual([1, 2]), patient)
  })
})

describe("a tenant's feed", () => {
  it('has the events of all its runs, and of nobody else', async () => {
    const { send, until, eventsOf } = await open()
    send({ type: 'follow', subscription: 'all' })
    const { after } = await until('all', 'subscribed')
    expect(after).toHaveLength(3)
    const foreign = await start(keyB)
    const runs = [await start(), await start(), await start()]
    await world.engine.write('ten_b', foreign, started, completed)
    for (const id of runs) await world.engine.write('ten_a', id, started, completed)
    await eventually(() => expect(eventsOf('all')).toHaveLength(9), patient)
    for (const id of runs) {
      const own = eventsOf('all').filter(({ execution }) => execution === id)
      expect(own.map(({ event }) => event.version)).toEqual([1, 2, 3])
    }
    expect(eventsOf('all').some(({ execution }) => execution === foreign)).toBe(false)
  })

  it('resumes after the positions that were seen, also after the gateway was another one', async () => {
    const first = await open()
    first.send({ type: 'follow', subscription: 'all' })
    const { after = [] } = await first.until('all', 'subscribed')
    const runs = [await start(), await start()]
    await eventually(() => expect(first.eventsOf('all')).toHaveLength(2), patient)
    first.socket.terminate()
    const positions = new Map(after.map((position) => position.split(':') as [string, string]))
    for (const { event } of first.eventsOf('all')) {
      const [partition = '', offset = ''] = event.position.split(':')
      positions.set(partition, offset)
    }
    // what happens meanwhile
    for (const id of runs) await world.engine.write('ten_a', id, started, step(1))
    const other = await world.startOne()
    const second = await open({ at: other.url })
    second.send({ type: 'follow', subscription: 'all', after: [...positions].map((one) => one.join(':')) })
    await eventually(() => expect(second.eventsOf('all')).toHaveLength(4), patient)
    for (const id of runs) await world.engine.write('ten_a', id, completed)
    await eventually(() => expect(second.eventsOf('all')).toHaveLength(6), patient)
    for (const id of runs) {
      const seen = [...first.eventsOf('all'), ...second.eventsOf('all')].filter(({ execution }) => execution === id)
      expect(seen.map(({ event }) => event.version)).toEqual([1, 2, 3, 4])
    }
    // a gateway that ends says so, and not that the feed has ended
    await other.close()
    expect(await second.closed).toMatchObject({ code: 1001 })
    expect(second.messages.some(({ type }) => type === 'ended')).toBe(false)
  })
})

describe('a connection', () => {
  it('needs a key that may read, at the upgrade', async () => {
    expect(await refusal({ key: null })).toContain('401')
    expect(await refusal({ key: newApiKey() })).toContain('401')
  })

  it('is not opened for pages of strangers', async () => {
    expect(await refusal({ origin: 'https://evil.example' })).toContain('403')
    expect(await refusal({ origin: 'https://app.example' })).toBe('opened')
    expect(await refusal({ origin: world.gateway.url })).toBe('opened')
  })

  it('hears heartbeats, and is ended when it answers none', async () => {
    const { socket, messages } = await open()
    await eventually(
      () => expect(messages.filter(({ type }) => type === 'heartbeat').length).toBeGreaterThan(3),
      patient,
    )
    expect(socket.readyState).toBe(WebSocket.OPEN)
    const deaf = new WebSocket(`${world.gateway.url.replace('http', 'ws')}/v1/stream`, {
      headers: { authorization: `Bearer ${keyA}` },
      autoPong: false,
    })
    expect((await once(deaf, 'close'))[0]).toBe(1006)
  })

  it('of a key that is revoked is closed', async () => {
    const key = newApiKey()
    const [keyId] = await putTenants(world.env['OMIUM_DATABASE_URL'] ?? '', world.env, { tenant: 'ten_a', apiKey: key })
    const { closed } = await open({ key })
    await world.pool.query('UPDATE identity.api_keys SET revoked_at = now() WHERE id = $1', [keyId])
    expect(await closed).toEqual({ code: 4001, reason: 'unauthenticated' })
  })

  it('whose reader takes nothing is dropped with a code, and resumes where it was', async () => {
    const id = await start()
    await world.engine.write('ten_a', id, started)
    const slow = await open()
    slow.send({ type: 'subscribe', subscription: 'a', execution: id })
    await eventually(() => expect(slow.versions('a')).toEqual([1, 2]), patient)
    slow.socket.pause()
    for (let n = 1; n <= 300; n++) await world.engine.write('ten_a', id, step(n, 'x'.repeat(60_000)))
    await eventually(async () => {
      const metrics = await (await fetch(`${world.gateway.url}/metrics`)).text()
      expect(metrics).toMatch(/omium_gateway_subscriptions 0/)
    })
    slow.socket.resume()
    expect([1006, 4008]).toContain((await slow.closed).code)
    const seen = slow.versions('a')
    expect(seen.at(-1)).toBeLessThan(302)
    await world.engine.write('ten_a', id, completed)
    // however often it is too slow for so much
    while (seen.at(-1) !== 303) {
      const again = await open()
      again.send({ type: 'subscribe', subscription: 'a', execution: id, after: seen.at(-1) ?? 0 })
      await Promise.race([again.until('a', 'ended').catch(() => undefined), again.closed])
      again.socket.terminate()
      await again.closed
      seen.push(...again.versions('a'))
    }
    expect(seen).toEqual(Array.from({ length: 303 }, (_, i) => i + 1))
  })
})
