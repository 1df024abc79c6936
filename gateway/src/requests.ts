import { callerId, OmiumError } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import { callerOf } from './auth.ts'
import { type Asker, deterministicCommandId } from './commands.ts'
import type { Services } from './services.ts'

const traceparent = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Who asks, as the log records it. */
export const askerOf = (request: FastifyRequest): Asker => {
  const { tenant, actor } = callerOf(request)
  const trace = request.headers['traceparent']
  return {
    tenant,
    actor,
    correlationId: request.id,
    ...(typeof trace === 'string' && traceparent.test(trace) && { traceparent: trace }),
  }
}

/**
 * Command id of a request: with an `idempotency-key` header the same for each repetition, otherwise fresh. Repetitions are
 * answered with what was decided first, refusals included.
 */
export const commandIdOf = (request: FastifyRequest, ids: Services['ids'], executionId: string): string => {
  const key = request.headers['idempotency-key']
  if (key === undefined) return ids('command')
  if (!callerId.safeParse(key).success) {
    throw new OmiumError('invalid_request', 'idempotency-key: use 1 to 128 of A-Z a-z 0-9 . _ -')
  }
  return deterministicCommandId(
    'key',
    callerOf(request).tenant,
    executionId,
    request.routeOptions.url ?? '',
    String(key),
  )
}
