import { randomBytes } from 'node:crypto'
import type { Caller } from '@omium/access'
import { eventually, type OwnComponent, startRedis } from '@omium/dev/testing'
import { connectRedis } from '@omium/resilience'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { installProblems } from '../src/problems.ts'
import { installRateLimits, type Rates } from '../src/rate-limits.ts'

/** Limits in a real Redis, which is killed. */
let redisProcess: OwnComponent
const opened: { app: FastifyInstance; redis: Redis | undefined }[] = []
const none: Rates = { perAddress: 0, perKey: 0, perTenant: 0, sensitive: 0 }

beforeAll(async () => {
  redisProcess = await startRedis()
})
afterEach(async () => {
  for (const { app, redis } of opened.splice(0)) {
    await app.close()
    redis?.disconnect()
  }
})
afterAll(() => redisProcess?.stop())

/** A server of three routes whose callers say who they are. */
const serve = async (rates: Partial<Rates>, { prefix = randomBytes(4).toString('hex'), shared = true } = {}) => {
  const redis = shared ? connectRedis(redisProcess.url, () => undefined) : undefined
  if (redis) await eventually(() => redis.status === 'ready')
  const app = Fastify()
  installProblems(app)
  const countMessage = await installRateLimits(app, { rates: { ...none, ...rates }, redis, prefix })
  app.decorateRequest('caller', null)
  app.addHook('onRequest', async (request) => {
    const [tenant = '', keyId = ''] = (request.headers.authorization ?? '').split('/')
    request.caller = tenant ? ({ tenant, actor: `key:${keyId}` } as Caller) : null
  })
  app.get('/plain', async () => 'plain')
  app.get('/sensitive', { config: { limit: 'sensitive' } }, async () => 'sensitive')
  app.get('/health', { config: { limit: 'none' } }, async () => 'ok')
  await app.ready()
  opened.push({ app, redis })
  const ask = async (url = '/plain', caller?: string, remoteAddress = '192.0.2.1') => {
    const answer = await app.inject({ url, remoteAddress, headers: caller ? { authorization: caller } : {} })
    return {
      status: answer.statusCode,
      headers: answer.headers,
      code: answer.statusCode < 400 ? '' : answer.json().code,
    }
  }
  /** a message over a connection that the caller opened */
  const say = (caller: string) => {
    const [tenant, keyId] = caller.split('/')
    return countMessage({
      ip: '192.0.2.1',
      caller: { tenant, actor: `key:${keyId}` } as Caller,
      routeOptions: {} as never,
    })
  }
  return { ask, say, redis, prefix }
}
const times = async (count: number, ask: () => Promise<{ status: number }>) => {
  const statuses: number[] = []
  for (let i = 0; i < count; i++) statuses.push((await ask()).status)
  return statuses
}

describe('limits', () => {
  it('count each key by itself, and the keys of a tenant together', async () => {
    const { ask } = await serve({ perKey: 2, perTenant: 3 })
    expect(await times(3, () => ask('/plain', 'ten_a/one'))).toEqual([200, 200, 429])
    // the refused request counted for the tenant as well
    expect(await times(1, () => ask('/plain', 'ten_a/two'))).toEqual([429])
    expect(await times(2, () => ask('/plain', 'ten_b/one'))).toEqual([200, 200])
  })

  it('count what is said over a connection like requests', async () => {
    const { ask, say } = await serve({ perKey: 3 })
    for (let i = 0; i < 2; i++) await say('ten_a/one')
    expect(await times(2, () => ask('/plain', 'ten_a/one'))).toEqual([200, 429])
    await expect(say('ten_a/one')).rejects.toMatchObject({ code: 'rate_limited' })
    await say('ten_a/two')
  })

  it('count addresses, an IPv6 network as one, and the machinery not at all', async () => {
    const { ask } = await serve({ perAddress: 2 })
    expect(await times(3, () => ask('/plain'))).toEqual([200, 200, 429])
    expect(await times(3, () => ask('/health'))).toEqual([200, 200, 200])
    expect((await ask('/plain', undefined, '2001:db8::1')).status).toBe(200)
    expect((await ask('/plain', undefined, '2001:db8::ffff')).status).toBe(200)
    expect((await ask('/plain', undefined, '2001:db8::2:1')).status).toBe(429)
  })

  it('are the same for two gateways', async () => {
    const one = await serve({ perKey: 2 })
    const two = await serve({ perKey: 2 }, { prefix: one.prefix })
    const statuses = [await one.ask('/plain', 'a/k'), await two.ask('/plain', 'a/k'), await one.ask('/plain', 'a/k')]
    expect(statuses.map(({ status }) => status)).toEqual([200, 200, 429])
  })

  it('tell in headers what is left of the limit that ends first, and when to come back', async () => {
    const { ask } = await serve({ perAddress: 100, perKey: 2, perTenant: 50 })
    const first = await ask('/plain', 'a/k')
    expect(first.headers).toMatchObject({
      'ratelimit-limit': '2',
      'ratelimit-remaining': '1',
      'ratelimit-policy': '2;w=60',
    })
    await ask('/plain', 'a/k')
    const refused = await ask('/plain', 'a/k')
    expect([refused.status, refused.code]).toEqual([429, 'rate_limited'])
    expect(refused.headers['ratelimit-remaining']).toBe('0')
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(refused.headers['retry-after']).toBe(refused.headers['ratelimit-reset'])
  })

  it('hold in one process without any Redis', async () => {
    const { ask } = await serve({ perKey: 2, sensitive: 1 }, { shared: false })
    expect(await times(3, () => ask('/plain', 'a/k'))).toEqual([200, 200, 429])
    expect(await times(2, () => ask('/sensitive'))).toEqual([200, 429])
  })
})

describe('with a Redis that hangs', () => {
  it('nobody waits for it: what guards secrets is closed, everything else is open within a limit of the process', async () => {
    const { ask, redis } = await serve({ perKey: 3, perAddress: 1_000, sensitive: 10 })
    expect((await ask('/sensitive')).status).toBe(200)
    redisProcess.hang(true)
    const begun = performance.now()
    expect(await times(3, () => ask('/sensitive'))).toEqual([503, 503, 503])
    expect(await times(4, () => ask('/plain', 'a/k'))).toEqual([200, 200, 200, 429])
    expect(performance.now() - begun).toBeLessThan(5_000)
    redisProcess.hang(false)
    await eventually(() => redis?.status === 'ready')
    await eventually(async () => expect((await ask('/sensitive')).status).toBe(200))
  })
})

describe('without the Redis that there was', () => {
  it('what guards secrets is closed, everything else is open within a limit of the process', async () => {
    const { ask, redis } = await serve({ perKey: 3, perAddress: 1_000, sensitive: 10 })
    expect((await ask('/sensitive')).status).toBe(200)
    expect((await ask('/plain', 'a/k')).status).toBe(200)
    await redisProcess.kill()
    const closed = await ask('/sensitive')
    expect([closed.status, closed.code, closed.headers['retry-after']]).toEqual([503, 'unavailable', '1'])
    expect(await times(4, () => ask('/plain', 'a/k'))).toEqual([200, 200, 200, 429])
    await redisProcess.restart()
    await eventually(() => redis?.status === 'ready')
    expect((await ask('/sensitive')).status).toBe(200)
    expect((await ask('/plain', 'a/k')).status).toBe(200)
  })
})
