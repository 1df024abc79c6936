import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { callerId, type IdKind, idPrefixes, OmiumError } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import { callerOf } from './auth.ts'
import { type Asker, deterministicCommandId } from './commands.ts'
import type { Services } from './services.ts'

const traceparent = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** The caller's trace (W3C Trace Context), if it is one. */
export const traceparentOf = ({ traceparent: given }: IncomingHttpHeaders): string | undefined =>
  typeof given === 'string' && traceparent.test(given) ? given : undefined

/** Who asks, as the log records it. */
export const askerOf = (request: FastifyRequest): Asker => {
  const { tenant, actor } = callerOf(request)
  const trace = traceparentOf(request.headers)
  return {
    tenant,
    actor,
    correlationId: request.id,
    ...(trace !== undefined && { traceparent: trace }),
  }
}

/** @throws OmiumError `invalid_request` for one that is no id */
export const idempotencyKeyOf = ({ headers }: FastifyRequest): string | undefined => {
  const key = headers['idempotency-key']
  if (key === undefined) return undefined
  const parsed = callerId.safeParse(key)
  if (!parsed.success) throw new OmiumError('invalid_request', 'idempotency-key: use 1 to 128 of A-Z a-z 0-9 . _ -')
  return parsed.data
}

/**
 * Command id of a request: with an `idempotency-key` header the same for each repetition, otherwise fresh. Repetitions are
 * answered with what was decided first, refusals included.
 */
export const commandIdOf = (request: FastifyRequest, ids: Services['ids'], aggregateId: string): string => {
  const key = idempotencyKeyOf(request)
  if (key === undefined) return ids('command')
  const { method, routeOptions } = request
  // several methods share a path: under one key, removing something is not a repetition of changing it
  const action = method === 'POST' ? (routeOptions.url ?? '') : `${method} ${routeOptions.url}`
  return deterministicCommandId('key', callerOf(request).tenant, aggregateId, action, key)
}

/** Id of what a request creates when its caller names none: with an `idempotency-key` the same for each repetition. */
export const newIdOf = (request: FastifyRequest, ids: Services['ids'], kind: IdKind): string => {
  const key = idempotencyKeyOf(request)
  if (key === undefined) return ids(kind)
  const parts = ['new', kind, callerOf(request).tenant, request.method, request.url, key]
  return `${idPrefixes[kind]}_${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`
}
