import { once } from 'node:events'
import { putTenants } from '@omium/access/testing'
import { eventually, newApiKey } from '@omium/dev/testing'
import type { ChargeView, EventView, Permission, StreamMessage, StreamRequest } from '@omium/schemas'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type GatewayWorld, keyA, keyB, startGatewayWorld } from './gateway-world.ts'
import { charged, completed, largeSteps, started, step } from './started-runs.ts'

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
    about,
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

describe("a tenant's charges", () => {
  const reading = (permissions: Permission[]) => {
    const apiKey = newApiKey()
    return putTenants(world.env['OMIUM_DATABASE_URL'] ?? '', world.env, { tenant: 'ten_a', apiKey, permissions }).then(
      () => apiKey,
    )
  }
  const costs = (items: readonly { event: EventView }[]) =>
    items.map(({ event }) => (event.data as ChargeView['data']).usage.costMicroCredits)

  it('are what steps used and cost, for who may see the money, without what was asked and answered', async () => {
    const key = await reading(['billing:read'])
    const { send, until, eventsOf, messages } = await open({ key })
    send({ type: 'follow', subscription: 'money', feed: 'charges' })
    const { after = [] } = await until('money', 'subscribed')
    const id = await start()
    const foreign = await start(keyB)
    await world.engine.write('ten_b', foreign, started, charged(1, 7))
    await world.engine.write('ten_a', id, started, step(1), charged(2, 200), step(3), charged(4, 400), completed)
    await eventually(() => expect(costs(eventsOf('money'))).toEqual([200, 400]), patient)
    expect(eventsOf('money')[0]).toMatchObject({
      execution: id,
      event: {
        type: 'StepCompleted',
        version: 4,
        data: { path: 'step#2', kind: 'step', usage: { model: 'gpt-5', inputTokens: 10, outputTokens: 2 } },
      },
    })
    expect(JSON.stringify(messages)).not.toContain('secret')

    // and the runs themselves stay shut
    for (const request of [
      { type: 'follow', subscription: 'runs' },
      { type: 'subscribe', subscription: 'run', execution: id },
    ] as const) {
      send(request)
      expect((await until(request.subscription, 'error')).error.code).toBe('forbidden')
    }
    expect((await world.call('GET', '/v1/events', { key })).status).toBe(403)

    // the same from the read model, as pages
    const seen: { event: EventView }[] = []
    let page = await world.call('GET', `/v1/charges?limit=1&after=${after}`, { key })
    for (
      ;
      page.body.nextCursor;
      page = await world.call('GET', `/v1/charges?limit=1&cursor=${page.body.nextCursor}`, { key })
    )
      seen.push(...page.body.items)
    seen.push(...page.body.items)
    expect(seen).toEqual(eventsOf('money').map(({ execution, event }) => ({ execution, event })))
    expect((await world.call('GET', `/v1/charges?after=${page.body.after}`, { key })).body).toEqual({
      items: [],
      after: page.body.after,
    })
  })

  it('are not for who may see the runs only', async () => {
    const key = await reading(['executions:read'])
    const { send, until } = await open({ key })
    send({ type: 'follow', subscription: 'money', feed: 'charges' })
    expect((await until('money', 'error')).error.code).toBe('forbidden')
    expect((await world.call('GET', '/v1/charges', { key })).status).toBe(403)
  })

  it('tell a reader who had none for long how far he is', async () => {
    const { send, until, about } = await open()
    send({ type: 'follow', subscription: 'money', feed: 'charges' })
    const { after = [] } = await until('money', 'subscribed')
    const runs = [await start(), await start(), await start(keyB)]
    const last = await eventually(() => {
      const positions = about('money').filter(({ type }) => type === 'position')
      const found = positions.at(-1) as (StreamMessage & { type: 'position' }) | undefined
      expect(totalOf(found?.after ?? [])).toBeGreaterThanOrEqual(totalOf(after) + runs.length)
      return found
    }, patient)
    await world.engine.write('ten_a', runs[0] as string, started, charged(1, 5))
    const again = await open()
    again.send({ type: 'follow', subscription: 'money', feed: 'charges', after: last?.after })
    await eventually(() => expect(costs(again.eventsOf('money'))).toEqual([5]), patient)
  })
  const totalOf = (positions: readonly string[]) =>
    positions.reduce((total, position) => total + Number(position.split(':')[1]), 0)
})

describe('feeds as server-sent events', () => {
  /** blocks of a stream until `enough`, as objects of their fields */
  const sse = async (path: string, enough: (blocks: Record<string, string>[]) => boolean, lastId?: string) => {
    const abort = new AbortController()
    const response = await fetch(`${world.gateway.url}${path}`, {
      headers: {
        authorization: `Bearer ${keyA}`,
        accept: 'text/event-stream',
        ...(lastId !== undefined && { 'last-event-id': lastId }),
      },
      signal: abort.signal,
    })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const blocks: Record<string, string>[] = []
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      const whole = text.split('\n\n')
      text = whole.pop() ?? ''
      for (const block of whole)
        blocks.push(Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2))))
      if (enough(blocks)) break
    }
    abort.abort()
    return blocks
  }
  const eventsIn = (blocks: Record<string, string>[]) =>
    blocks.filter(({ event }) => event !== undefined && event !== 'position').map(({ data }) => JSON.parse(data ?? ''))

  it.each([
    { path: '/v1/events', expected: [1, 2, 3, 4, 5] },
    { path: '/v1/charges', expected: [3, 4] },
  ])('$path resumes after the last id, however often the reader is cut', async ({ path, expected }) => {
    const { after } = (await world.call('GET', path)).body
    const id = await start()
    const writing = (async () => {
      for (const event of [started, charged(1, 1), charged(2, 2), completed])
        await world.engine.write('ten_a', id, event)
    })()
    const seen: number[] = []
    let lastId: string = after
    while (seen.length < expected.length) {
      const blocks = await sse(path, (so) => eventsIn(so).length > 0, lastId)
      for (const { execution, event } of eventsIn(blocks)) {
        expect(execution).toBe(id)
        seen.push(event.version)
      }
      lastId = blocks.findLast((block) => block['id'] !== undefined)?.['id'] ?? lastId
    }
    await writing
    expect(seen).toEqual(expected)
    // nothing but how far it is
    const quiet = await sse(path, (so) => so.length > 1 || so.some(({ event }) => event === 'position'), after)
    expect(eventsIn(quiet).length).toBeLessThanOrEqual(expected.length)
  })

  it('refuse ids that they never sent', async () => {
    const headers = { accept: 'text/event-stream', 'last-event-id': 'x' }
    for (const path of ['/v1/events', '/v1/charges']) {
      expect((await world.call('GET', path, { headers })).body.code).toBe('invalid_request')
      expect((await world.call('GET', `${path}?after=9:1`)).body.code).toBe('invalid_request')
    }
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
    for (let n = 1; n <= 300; n += 10) await world.engine.write('ten_a', id, ...largeSteps(n, 10))
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
