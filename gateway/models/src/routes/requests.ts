import { callerOf } from '@omium/access'
import { OmiumError } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { cacheWishOf } from '../cache.ts'
import { CallerGone } from '../calls/failures.ts'
import type { Ask, Told } from '../service.ts'

/** What every route that asks a model reads from a request, and says in its answer's headers. */
export const parsed = <T>(schema: z.ZodType<T>, body: unknown): T => {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const lines = result.error.issues.map(({ path, message }) =>
    path.length > 0 ? `${path.join('.')}: ${message}` : message,
  )
  throw new OmiumError('invalid_request', lines.join('; ').slice(0, 2000))
}

const idempotencyKey = /^[\x21-\x7e]{1,255}$/

export const askOf = (request: FastifyRequest, reply: FastifyReply): Ask => {
  const {
    'idempotency-key': key,
    'x-omium-cache': cacheHeader,
    'x-omium-max-cost-micro-credits': most,
  } = request.headers
  if (key !== undefined && !(typeof key === 'string' && idempotencyKey.test(key)))
    throw new OmiumError('invalid_request', 'idempotency-key: use 1 to 255 visible ASCII characters')
  const cache = cacheWishOf(cacheHeader)
  if (cache === null)
    throw new OmiumError('invalid_request', 'x-omium-cache: use read, write or both, and force after a comma')
  const maxCost = most === undefined ? undefined : Number(most)
  if (maxCost !== undefined && !(Number.isSafeInteger(maxCost) && maxCost >= 0))
    throw new OmiumError('invalid_request', 'x-omium-max-cost-micro-credits: use a whole number')
  const gone = new AbortController()
  const left = () => {
    if (!reply.raw.writableFinished) gone.abort(new CallerGone())
  }
  reply.raw.once('close', left)
  // whoever left while it was found out who they are is not heard leaving any more
  if (reply.raw.destroyed) left()
  return {
    tenant: callerOf(request).tenant,
    signal: gone.signal,
    idempotencyKey: key,
    cache,
    maxCostMicroCredits: maxCost,
  }
}

/** Who answered, and whether it came from the cache. */
export const toldHeaders = ({ target, cache, tries }: Told<unknown>): Record<string, string> => ({
  'x-omium-cache': cache,
  ...(target && {
    'x-omium-provider': target.provider.name,
    'x-omium-model': encodeURIComponent(target.model),
    'x-omium-tries': String(tries),
    ...(target.provider.settings.scripted && { 'x-omium-scripted': 'true' }),
  }),
})
