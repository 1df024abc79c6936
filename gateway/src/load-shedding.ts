import { Counter } from '@omium/kit'
import { OmiumError } from '@omium/schemas'
import type { FastifyInstance } from 'fastify'
import { answerProblem } from './problems.ts'

/**
 * What is more than can be done soon is refused at once, before anything is done about it: whoever is let in is answered in time,
 * memory stays bounded, and the rest hears when to come again.
 *
 * 1. Requests that change something are bounded by how many are under way: what they wait for is the log.
 * 2. Everything else is bounded by how many queries wait for a connection to the database.
 * 3. A refusal is cheap: it is counted, not logged, and asks nobody who it is.
 * 4. Probes and metrics (`limit: 'none'`) are always answered: an operator has to see what happens. So are the questions that
 *    browsers ask before requests of other origins, which cost nothing.
 */
export interface LoadBounds {
  /** requests under way that change something: some hundred ms of the log's work */
  readonly writes: number
  /** queries that wait for a connection: some hundred ms of the database's work */
  readonly waitingReads: number
}

export const defaultLoadBounds: LoadBounds = { writes: 2_000, waitingReads: 1_000 }

/** seconds until whoever was refused may come again: not all at once */
const retryAfter = ['1', '2', '3'] as const

/**
 * To be installed before everything else that looks at requests.
 * @param corsOrigins whose pages may read a refusal
 * @returns how often it refused, for the registry
 */
export const installLoadShedding = (
  app: FastifyInstance,
  reads: { readonly waiting: number },
  corsOrigins: readonly string[],
  bounds: LoadBounds = defaultLoadBounds,
): Counter<'kind'> => {
  const origins = new Set(corsOrigins)
  const refused = new Counter({
    name: 'omium_gateway_shed_requests_total',
    help: 'Requests that were refused because too much was under way',
    labelNames: ['kind'] as const,
    registers: [],
  })
  let writes = 0
  let turn = 0
  const ended = () => {
    writes--
  }
  app.addHook('onRequest', (request, reply, done) => {
    const { method, routeOptions } = request
    if (routeOptions.config.limit === 'none' || method === 'OPTIONS') return done()
    const isRead = method === 'GET' || method === 'HEAD'
    if (reads.waiting < bounds.waitingReads && (isRead || writes < bounds.writes)) {
      if (!isRead) {
        writes++
        reply.raw.once('close', ended)
      }
      return done()
    }
    refused.inc({ kind: isRead ? 'read' : 'write' })
    reply.header('retry-after', retryAfter[turn++ % retryAfter.length])
    const { origin } = request.headers
    if (origin !== undefined && origins.has(origin)) {
      reply.headers({
        vary: 'Origin',
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'retry-after',
      })
    }
    answerProblem(new OmiumError('unavailable', 'too much is under way; try again shortly'), request, reply)
  })
  return refused
}
