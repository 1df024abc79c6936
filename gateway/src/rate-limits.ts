import rateLimit, { normalizeIP, type RateLimitPluginOptions } from '@fastify/rate-limit'
import { firstConnection } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'

/**
 * How many requests are taken from one address, one API key and one tenant, counted in Redis for all gateways together.
 *
 * 1. The address is counted before anything is looked up, key and tenant before the body is read.
 * 2. While Redis is away each process counts for itself: N processes let N times as much through, and nothing stops. Routes
 *    that guard secrets are closed instead (`limit: 'sensitive'`): guessing must not become cheap.
 * 3. The headers tell of the limit of which least is left.
 */
export interface Rates {
  /** requests a minute; 0: any number */
  readonly perAddress: number
  readonly perKey: number
  readonly perTenant: number
  /** of one address to one sensitive route */
  readonly sensitive: number
}

const windowMs = 60_000
const mostCountedHere = 20_000

const keys = {
  perAddress: (request: Counted) => `address:${normalizeIP(request.ip)}`,
  sensitive: (request: Counted) => `sensitive:${normalizeIP(request.ip)}:${request.routeOptions.url}`,
  perKey: (request: Counted) => `caller:${request.caller?.tenant}/${request.caller?.actor}`,
  perTenant: (request: Counted) => `tenant:${request.caller?.tenant}`,
} as const satisfies Record<keyof Rates, (request: Counted) => string>

type Limiter = ReturnType<FastifyInstance['createRateLimit']>
type Limiters = Partial<Record<keyof Rates, Limiter>>

/** Each store needs a scope of its own: the plugin has one store for all of its scope's limiters. */
const limitersOn = async (
  app: FastifyInstance,
  rates: Rates,
  store: Pick<RateLimitPluginOptions, 'redis' | 'nameSpace' | 'cache'>,
): Promise<Limiters> => {
  const limiters: Limiters = {}
  await app.register(async (scope) => {
    await scope.register(rateLimit, { ...store, global: false, timeWindow: windowMs })
    for (const name of Object.keys(keys) as (keyof Rates)[])
      if (rates[name] > 0) limiters[name] = scope.createRateLimit({ max: rates[name], keyGenerator: keys[name] })
  })
  return limiters
}

/** Who asks over a connection that lasts: as much of their first request as is counted by. */
export type Counted = Pick<FastifyRequest, 'ip' | 'caller' | 'routeOptions'>

/** @throws OmiumError `rate_limited` */
export type CountMessage = (by: Counted) => Promise<void>

/**
 * To be installed before what finds the caller: the address is counted before it, key and tenant after it.
 * @returns what counts a message over a connection as if it was a request
 */
export const installRateLimits = async (
  app: FastifyInstance,
  { rates, redis, prefix }: { readonly rates: Rates; readonly redis: Redis | undefined; readonly prefix: string },
): Promise<CountMessage> => {
  const local = await limitersOn(app, rates, { cache: mostCountedHere })
  const shared = redis && (await limitersOn(app, rates, { redis, nameSpace: `omium:${prefix}:rate:` }))

  const begun = redis && firstConnection(redis)
  const count = async (request: Counted, names: readonly (keyof Rates)[]) => {
    const ask = (limiters: Limiters) => Promise.all(names.map((name) => limiters[name]?.(request as FastifyRequest)))
    if (!shared) return ask(local)
    if (names.includes('sensitive')) await begun?.()
    try {
      if (redis.status !== 'ready') throw new Error('Redis is not connected')
      return await ask(shared)
    } catch (cause) {
      if (names.includes('sensitive'))
        throw new OmiumError('unavailable', 'requests to this route cannot be counted for the moment; try again', {
          cause,
        })
      return ask(local)
    }
  }

  const enforce = async (request: FastifyRequest, reply: FastifyReply, names: readonly (keyof Rates)[]) => {
    for (const counted of await count(request, names)) {
      if (!counted || counted.isAllowed) continue
      const { max, remaining, ttlInSeconds, isExceeded } = counted
      const told = reply.getHeader('ratelimit-remaining')
      if (isExceeded || told === undefined || remaining < Number(told))
        reply.headers({
          'ratelimit-limit': max,
          'ratelimit-remaining': remaining,
          'ratelimit-reset': ttlInSeconds,
          'ratelimit-policy': `${max};w=${windowMs / 1000}`,
        })
      if (!isExceeded) continue
      reply.header('retry-after', Math.max(1, ttlInSeconds))
      throw rateLimited(counted)
    }
  }

  app.addHook('onRequest', async (request, reply) => {
    const { limit } = request.routeOptions.config
    if (limit !== 'none') await enforce(request, reply, limit === 'sensitive' ? ['perAddress', limit] : ['perAddress'])
  })
  app.addHook('preParsing', async (request, reply) => {
    if (request.caller) await enforce(request, reply, ['perKey', 'perTenant'])
  })
  return async (by) => {
    for (const counted of await count(by, ['perKey', 'perTenant']))
      if (counted && !counted.isAllowed && counted.isExceeded) throw rateLimited(counted)
  }
}

const rateLimited = ({ key, max, ttlInSeconds }: { key: string; max: number; ttlInSeconds: number }): OmiumError => {
  const [who] = key.split(':')
  return new OmiumError('rate_limited', `${who}: ${max} requests a minute are allowed; wait ${ttlInSeconds} s`)
}
