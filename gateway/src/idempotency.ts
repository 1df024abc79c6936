import { hashJson, OmiumError } from '@omium/schemas'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { idempotencyKeyOf } from './requests.ts'

/**
 * `idempotency-key`: a request that changes something and is sent again is not done again, whatever its method.
 *
 * 1. What makes it once is the log: ids of commands, and of what is created, follow from tenant and key (requests.ts), and a
 *    command is decided once, whichever gateway sends it and wherever one died. The repetition hears the recorded outcome.
 * 2. For a day Redis remembers to which request a key belongs, so that another one under it is refused instead of being
 *    answered with something that it did not ask for. Without Redis only this is missing.
 */
const rememberedSeconds = 86_400
/** RFC 9110, 9.2.1 */
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

export interface IdempotencyParts {
  readonly redis: Redis | undefined
  readonly prefix: string
  /** under a key of the platform: bodies have addresses of people in them, and whoever reads Redis must not be able to test some */
  readonly digest: (kind: 'request', value: string) => string
}

export const installIdempotency = (app: FastifyInstance, { redis, prefix, digest }: IdempotencyParts): void => {
  const fingerprintOf = ({ method, url, body }: FastifyRequest): string =>
    digest('request', hashJson([method, url, body ?? null]))

  /** The request that the key belongs to; undefined when nobody can say. */
  const claim = async (tenant: string, key: string, fingerprint: string): Promise<string | undefined> => {
    if (redis?.status !== 'ready') return undefined
    const place = `omium:${prefix}:idempotency:${tenant}/${key}`
    try {
      const [, held] = await Promise.all([
        redis.set(place, fingerprint, 'EX', rememberedSeconds, 'NX'),
        redis.get(place),
      ])
      return held ?? undefined
    } catch {
      return undefined
    }
  }

  app.addHook('preHandler', async (request) => {
    if (safeMethods.has(request.method) || !request.caller) return
    const key = idempotencyKeyOf(request)
    if (key === undefined) return
    const fingerprint = fingerprintOf(request)
    const held = await claim(request.caller.tenant, key, fingerprint)
    if (held !== undefined && held !== fingerprint)
      throw new OmiumError('idempotency_conflict', `the idempotency-key ${key} was used for another request`)
  })

  app.addHook('preSerialization', async (request, reply, payload) => {
    if (request.headers['idempotency-key'] === undefined) return payload
    if ((payload as { deduplicated?: boolean } | null)?.deduplicated === true)
      reply.header('idempotency-replayed', 'true')
    return payload
  })
}
