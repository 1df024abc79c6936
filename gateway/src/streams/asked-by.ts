import type { Caller } from '@omium/access'
import type { FastifyRequest } from 'fastify'
import { callerOf } from '../auth.ts'

/**
 * What is left of a request that opened something that lasts: who it was, and what to ask again. The request itself is not held
 * on to, since it holds on to all that it was made of.
 */
export interface AskedBy extends Pick<FastifyRequest, 'id' | 'headers' | 'ip' | 'method' | 'params' | 'routeOptions'> {
  readonly caller: Caller
}

/** whatever may prove or disprove who asks; see `identify` */
const proofs = [
  'authorization',
  'cookie',
  'origin',
  'referer',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'upgrade',
] as const

/** @param routeOptions of the request's route, if they are at hand: one object for all of its requests */
export const askedBy = (request: FastifyRequest, routeOptions = request.routeOptions): AskedBy => {
  const { id, ip, method, params } = request
  const headers: AskedBy['headers'] = {}
  for (const name of proofs) {
    const value = request.headers[name]
    if (value !== undefined) headers[name] = value
  }
  return { id, ip, method, params, routeOptions, headers, caller: callerOf(request) }
}
