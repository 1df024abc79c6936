import Fastify, { type FastifyInstance } from 'fastify'
import { afterEach, expect, it } from 'vitest'
import { installLoadShedding } from './load-shedding.ts'

let app: FastifyInstance
afterEach(() => app.close())

const open = async () => {
  app = Fastify()
  const reads = { waiting: 0 }
  const refused = installLoadShedding(app, reads, ['https://app.example.com'], { writes: 2, waitingReads: 5 })
  let finish: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    finish = resolve
  })
  app.post('/slow', async () => held.then(() => 'done'))
  app.get('/read', async () => 'read')
  app.options('/read', async () => 'asked before')
  app.get('/health', { config: { limit: 'none' } }, async () => 'alive')
  await app.ready()
  const shed = async (kind: string) =>
    (await refused.get()).values.find(({ labels }) => labels.kind === kind)?.value ?? 0
  return { reads, shed, finish }
}
const ask = (method: 'GET' | 'POST' | 'OPTIONS', url: string, headers: Record<string, string> = {}) =>
  app.inject({ method, url, headers })

it('refuses what changes something beyond the bound, says when to come again, and goes on when there is room', async () => {
  const { shed, finish } = await open()
  const first = [ask('POST', '/slow').then((answer) => answer), ask('POST', '/slow').then((answer) => answer)]
  const third = await ask('POST', '/slow')
  expect(third.json()).toMatchObject({ code: 'unavailable', retryable: true })
  expect(Number(third.headers['retry-after'])).toBeGreaterThan(0)
  expect((await ask('GET', '/read')).statusCode).toBe(200)
  expect(await shed('write')).toBe(1)
  finish()
  for (const one of first) expect((await one).statusCode).toBe(200)
  expect((await ask('POST', '/slow')).statusCode).toBe(200)
})

it('refuses everything but probes while too many queries wait for the database', async () => {
  const { reads, shed } = await open()
  reads.waiting = 5
  expect((await ask('GET', '/read')).statusCode).toBe(503)
  expect((await ask('GET', '/health')).statusCode).toBe(200)
  expect(await shed('read')).toBe(1)
  reads.waiting = 4
  expect((await ask('GET', '/read')).statusCode).toBe(200)
})

it('lets pages of other origins read why they were refused, if they may read anything', async () => {
  const { reads } = await open()
  reads.waiting = 5
  expect((await ask('OPTIONS', '/read')).statusCode).toBe(200)
  const told = await ask('GET', '/read', { origin: 'https://app.example.com' })
  expect(told.headers).toMatchObject({
    vary: 'Origin',
    'access-control-allow-origin': 'https://app.example.com',
    'access-control-expose-headers': 'retry-after',
  })
  const others = await ask('GET', '/read', { origin: 'https://evil.example.com' })
  expect(others.statusCode).toBe(503)
  expect(others.headers).not.toHaveProperty('access-control-allow-origin')
})
