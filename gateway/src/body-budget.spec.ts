import type { Caller } from '@omium/access'
import Fastify from 'fastify'
import { expect, it } from 'vitest'
import { installBodyBudget } from './body-budget.ts'
import { installProblems } from './problems.ts'

const megabyte = 1024 * 1024

/** A server whose one route takes its time. */
const serve = async () => {
  const app = Fastify({ bodyLimit: 4 * megabyte })
  let release = () => undefined as unknown
  const held = new Promise((resolve) => {
    release = () => resolve(undefined)
  })
  installProblems(app)
  app.decorateRequest('caller', null)
  app.addHook('onRequest', async (request) => {
    request.caller = { tenant: request.headers['x-tenant'] } as Caller
  })
  installBodyBudget(app, { ofAll: 8 * megabyte, ofTenant: 5 * megabyte })
  app.post('/', async () => held)
  app.post('/now', async () => ({}))
  await app.ready()
  // what inject gives is begun when somebody waits for it
  const send = async (tenant: string, megabytes: number, url = '/') =>
    app.inject({
      method: 'POST',
      url,
      headers: { 'x-tenant': tenant },
      payload: { text: 'x'.repeat(megabytes * megabyte) },
    })
  return { app, send, release }
}

it('large bodies of a tenant are few at a time, and leave room for others', async () => {
  const { app, send, release } = await serve()
  const first = send('a', 3)
  expect(await send('a', 3)).toMatchObject({ statusCode: 429, headers: { 'retry-after': '1' } })
  expect((await send('b', 3, '/now')).statusCode).toBe(200)
  expect((await send('a', 0.5, '/now')).statusCode).toBe(200)
  const second = send('b', 3)
  expect(await send('c', 3)).toMatchObject({ statusCode: 503, headers: { 'retry-after': '1' } })
  release()
  expect([(await first).statusCode, (await second).statusCode]).toEqual([200, 200])
  expect((await send('a', 3, '/now')).statusCode).toBe(200)
  await app.close()
})
