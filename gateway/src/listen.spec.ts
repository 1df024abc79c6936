import { createServer } from 'node:net'
import Fastify from 'fastify'
import { afterEach, expect, it } from 'vitest'
import { listen } from './listen.ts'

const apps: ReturnType<typeof Fastify>[] = []
const app = () => {
  const made = Fastify({ forceCloseConnections: true })
  made.get('/', async ({ ip }) => ip)
  apps.push(made)
  return made
}
afterEach(() => Promise.all(apps.splice(0).map((one) => one.close())))

/** whether this machine has IPv6 */
const second = await new Promise<boolean>((resolve) => {
  const server = createServer().once('error', () => resolve(false))
  server.listen({ host: '::1', port: 0 }, () => server.close(() => resolve(true)))
})
const answer = async (host: string, port: string): Promise<string> => (await fetch(`http://${host}:${port}/`)).text()

it('answers on every loopback address that there is, until it stops', async () => {
  const { url, stop } = await listen(app(), { host: 'localhost', port: 0 })
  const { port } = new URL(url)
  expect(await answer('127.0.0.1', port)).toBe('127.0.0.1')
  if (second) expect(await answer('[::1]', port)).toBe('::1')
  stop()
  await expect(answer('[::1]', port)).rejects.toThrow()
  expect(await answer('127.0.0.1', port)).toBe('127.0.0.1')
})

it('does not listen where the second address is another program’s', async () => {
  if (!second) return
  const other = createServer()
  await new Promise<void>((resolve) => other.listen({ host: '::1', port: 0 }, resolve))
  const { port } = other.address() as { port: number }
  await expect(listen(app(), { host: 'localhost', port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await expect(answer('127.0.0.1', String(port))).rejects.toThrow()
  other.close()
})

it('listens on one address when one is named', async () => {
  const { url } = await listen(app(), { host: '127.0.0.1', port: 0 })
  await expect(answer('[::1]', new URL(url).port)).rejects.toThrow()
})
