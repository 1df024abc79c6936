import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import type { StreamedEvent } from './outlet.ts'
import { SseOutlet } from './sse-outlet.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** A response whose reader reads when it is told to. */
const open = async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const asked = request({ port: (server.address() as AddressInfo).port })
  asked.on('error', () => undefined)
  closing.push(() => {
    asked.destroy()
    server.closeAllConnections()
    server.close()
  })
  const got = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>
  asked.end()
  const [, out] = await got
  out.writeHead(200).flushHeaders()
  const [reader] = (await once(asked, 'response')) as [IncomingMessage]
  return { out, reader }
}
const event: StreamedEvent = {
  execution: 'run',
  event: { id: 'e', type: 'T', version: 1, time: '', actor: 'a', position: '0:1', data: 'x'.repeat(20_000) },
}

it('takes nothing after its end, while the reader still has to take what was before', async () => {
  const { out, reader } = await open()
  reader.pause()
  const errors: unknown[] = []
  out.on('error', (error) => errors.push(error))
  let allowed = true
  const outlet: SseOutlet = new SseOutlet(out, {
    heartbeatMs: 5,
    askAgain: () => {
      if (!allowed) outlet.end()
    },
    onError: () => undefined,
  })
  // more than the network holds, less than what it means to be behind
  for (let held = false; !held; held = out.writableLength > 0) {
    outlet.event(event)
    await setImmediate()
  }
  allowed = false
  await expect.poll(() => out.writableEnded).toBe(true)
  expect(out.writableFinished).toBe(false)
  expect(outlet.event(event)).toBe(true)
  outlet.delta('run', { path: 'p', attempt: 1, text: 't' })
  outlet.end()
  reader.resume()
  await once(reader, 'end')
  expect(errors).toEqual([])
})
