import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { StreamMessage } from '@omium/schemas'
import { afterEach, describe, expect, it } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { event } from '../../test/scripted-gateway.ts'
import { omium } from '../index.ts'

let server: Server
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

type Talk = (send: (message: StreamMessage) => void, request: { after?: string[] }, socket: WebSocket) => void

/** A gateway that answers the first message of each connection as the spec says. */
const followed = async (talks: Talk[], status?: number) => {
  server = createServer()
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, connection, head) => {
    if (status !== undefined) {
      connection.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`)
      return
    }
    expect(request.headers.authorization).toBe('Bearer om_test_key')
    sockets.handleUpgrade(request, connection, head, (socket) => {
      const talk = talks.shift()
      socket.once('message', (data) =>
        talk?.((message) => socket.send(JSON.stringify(message)), JSON.parse(String(data)), socket),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return omium({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, apiKey: 'om_test_key' })
}
const happened = (execution: string, version: number, position: string): StreamMessage => ({
  type: 'event',
  subscription: 'feed',
  execution,
  event: { ...event(version, 'StepCompleted'), position } as never,
})

describe('following a tenant', () => {
  it('goes on after the last event that was taken when connections break', async () => {
    const asked: (string[] | undefined)[] = []
    const client = await followed([
      (send, { after }, socket) => {
        asked.push(after)
        send({ type: 'subscribed', subscription: 'feed', after: ['0:4', '1:9'] })
        send(happened('a', 1, '0:5'))
        send({ type: 'heartbeat' })
        send(happened('b', 1, '1:10'))
        setImmediate(() => socket.terminate())
      },
      (send, { after }) => {
        asked.push(after)
        send({ type: 'subscribed', subscription: 'feed', after: after ?? [] })
        send(happened('a', 2, '0:6'))
      },
    ])
    const seen: string[] = []
    for await (const { execution, event } of client.follow()) {
      seen.push(`${execution} ${event.version}`)
      if (seen.length === 3) break
    }
    expect(seen).toEqual(['a 1', 'b 1', 'a 2'])
    expect(asked).toEqual([undefined, ['0:5', '1:10']])
  })

  it('takes a connection that has gone silent for dead, and ends when it is told to', async () => {
    const stop = new AbortController()
    const client = await followed([
      () => undefined,
      (send, { after }) => {
        expect(after).toEqual(['0:7'])
        send(happened('a', 3, '0:8'))
      },
    ])
    const seen: number[] = []
    for await (const { event } of client.follow({ after: ['0:7'], silenceMs: 50, signal: stop.signal })) {
      seen.push(event.version)
      stop.abort()
    }
    expect(seen).toEqual([3])
  })

  it('stops when the gateway refuses for good', async () => {
    const refused = await followed([], 401)
    await expect(refused.follow().next()).rejects.toMatchObject({ code: 'unauthenticated' })
    server.close()
    const revoked = await followed([(_send, _request, socket) => socket.close(4001, 'unauthenticated')])
    await expect(revoked.follow().next()).rejects.toMatchObject({ code: 'unauthenticated' })
  })
})
