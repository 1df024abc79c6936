import { once } from 'node:events'
import { Agent, createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { closeWhenQuiet, type DrainBounds } from './drain.ts'

const open = async (bounds: DrainBounds) => {
  const server = createServer((_request, response) => {
    if (!server.listening) response.setHeader('connection', 'close')
    response.end()
  })
  closeWhenQuiet(server, bounds)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => {
    agent.destroy()
    server.closeAllConnections()
  })
  const ask = async () => {
    const [answer] = (await once(get({ host: '127.0.0.1', port, agent }), 'response')) as [IncomingMessage]
    const { socket } = answer
    answer.resume()
    await once(answer, 'end')
    return { connection: answer.headers.connection, socket }
  }
  const close = async () => {
    server.close()
    await once(server, 'close')
  }
  return { ask, close }
}

it('answers once more over a kept connection', async () => {
  const { ask, close } = await open({ quietMs: 60_000, atMostMs: 60_000 })
  const first = await ask()
  expect(first.connection).toBe('keep-alive')
  const closed = close()
  expect(await ask()).toEqual({ connection: 'close', socket: first.socket })
  await closed
  await expect(ask()).rejects.toThrow('ECONNREFUSED')
})

it.each([
  { quietMs: 10, atMostMs: 60_000 },
  { quietMs: 60_000, atMostMs: 10 },
])('ends although a connection stays idle: %o', async (bounds) => {
  const { ask, close } = await open(bounds)
  const { socket } = await ask()
  const ended = once(socket, 'close')
  await close()
  await ended
})
