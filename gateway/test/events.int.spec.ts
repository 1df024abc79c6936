import { Agent, get } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createDeltaPublisher } from '@omium/deltas'
import { eventually, spawnService } from '@omium/dev/testing'
import type { EventView } from '@omium/schemas'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayWorld, keyA, startGatewayWorld } from './gateway-world.ts'
import { completed, createStarter, largeSteps, type Starter, started, step, versions } from './started-runs.ts'

/** Events as pages and streams, and the process that serves them, killed and ended. */
let world: GatewayWorld
let gateway: GatewayWorld['gateway']
let engine: GatewayWorld['engine']
let env: GatewayWorld['env']
let call: GatewayWorld['call']
let start: Starter['start']

beforeAll(async () => {
  world = await startGatewayWorld()
  ;({ gateway, engine, env, call } = world)
  ;({ start } = createStarter(call))
})
afterAll(() => world?.close())

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
    for (let n = 1; n <= 300; n += 10) await engine.write('ten_a', id, ...largeSteps(n, 10))
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
    // comments begin before history is read, and several may be read at once
    const { events } = await sse(`/v1/executions/${id}/events`, (sofar, comments) => sofar.length > 0 && comments >= 3)
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
