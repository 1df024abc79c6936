import { afterEach, describe, expect, it } from 'vitest'
import { event, type Handler, ScriptedGateway, sendJson, sendProblem } from '../../test/scripted-gateway.ts'
import { omium } from '../index.ts'

let gateway: ScriptedGateway
afterEach(() => gateway?.close())

/** A gateway whose feed has these pages, then these connections. */
const followed = async (pages: unknown[], connections: Handler[], path = '/v1/events') => {
  gateway = await ScriptedGateway.listen({
    [`GET ${path}`]: (request, response) => {
      if (request.headers.accept === 'text/event-stream') connections.shift()?.(request, response)
      else sendJson(response, 200, pages.shift())
    },
  })
  return omium({ url: gateway.url, apiKey: 'om_test_key' })
}
const happened = (execution: string, version: number, position: string) => ({
  execution,
  event: { ...event(version), position },
})
const frame = (id: string, data: unknown, type = 'StepCompleted') =>
  `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`
const begins = { 'content-type': 'text/event-stream' }

describe('following a tenant', () => {
  it('goes on after the last event that was taken when connections break', async () => {
    const resumed: unknown[] = []
    const client = await followed(
      [{ items: [], after: '0:4,1:9' }],
      [
        (request, response) => {
          resumed.push(request.headers['last-event-id'])
          response.writeHead(200, begins)
          response.write(frame('0:5,1:9', happened('a', 1, '0:5')) + frame('0:6,1:9', '0:6,1:9', 'position'))
          response.write(`${frame('0:6,1:10', happened('b', 1, '1:10'))}id: 0:7`, () => response.destroy())
        },
        (request, response) => {
          resumed.push(request.headers['last-event-id'])
          response.writeHead(200, begins).write(frame('0:7,1:10', happened('a', 2, '0:7')))
        },
      ],
    )
    const seen: string[] = []
    for await (const { execution, event } of client.follow()) {
      seen.push(`${execution} ${event.version}`)
      if (seen.length === 3) break
    }
    expect(seen).toEqual(['a 1', 'b 1', 'a 2'])
    expect(resumed).toEqual(['0:4,1:9', '0:6,1:10'])
  })

  it('begins with what it has missed, and ends there if that is all that is wanted', async () => {
    const pages = [
      { items: [happened('a', 1, '0:8')], after: '0:8,1:2', nextCursor: '0:8,1:2' },
      { items: [happened('a', 2, '0:9')], after: '0:9,1:4' },
    ]
    const client = await followed(pages, [], '/v1/charges')
    const seen: number[] = []
    for await (const { event } of client.charges({ after: ['0:7', '1:2'], live: false })) seen.push(event.version)
    expect([seen, gateway.asked.length]).toEqual([[1, 2], 2])
  })

  it('takes a connection that has gone silent for dead, and ends when it is told to', async () => {
    const stop = new AbortController()
    const client = await followed(
      [{ items: [], after: '0:7' }],
      [
        (_, response) => response.writeHead(200, begins).write(': heartbeat\n\n'),
        // a busy machine may be late with the first answers, too
        ...Array<Handler>(50).fill((request, response) => {
          expect(request.headers['last-event-id']).toBe('0:7')
          response.writeHead(200, begins).write(frame('0:8', happened('a', 3, '0:8')))
        }),
      ],
    )
    const seen: number[] = []
    for await (const { event } of client.follow({ after: ['0:7'], silenceMs: 200, signal: stop.signal })) {
      seen.push(event.version)
      stop.abort()
    }
    expect(seen).toEqual([3])
  })

  it('stops when the gateway refuses for good', async () => {
    const refuse: Handler = (_, response) => sendProblem(response, 401, 'unauthenticated', 'the key was revoked')
    const client = await followed([{ items: [], after: '0:7' }], [refuse])
    await expect(client.follow().next()).rejects.toMatchObject({ code: 'unauthenticated' })
  })
})
