import { listEvents } from '@omium/projection-executions'
import { eventView, executionIdParam, isTerminal, OmiumError, page } from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import { requireExecution } from '../reads.ts'
import type { Services } from '../services.ts'
import { executionSource } from '../streams/execution-source.ts'
import { createSseStreams, wantsEvents } from '../streams/serve-sse.ts'
import { eventViewOf } from '../views.ts'

/** An execution's history: paged, or live as server-sent events. */
export const eventRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, executions, deltas, limits } = services
    const streams = createSseStreams(services)
    app.addHook('preClose', async () => streams.close())

    app.get(
      '/v1/executions/:id/events',
      {
        config: { permission: 'executions:read', limitedKeys: true },
        schema: {
          tags: ['executions'],
          summary: 'Events of an execution, in order',
          description:
            'With `accept: text/event-stream`: history, then live, until the terminal event. Ids are versions; reconnect ' +
            'with `Last-Event-ID`. 204 when the execution has finished and nothing follows that id.',
          params: executionIdParam,
          querystring: z.object({
            /** events after this version */
            after: z.coerce.number().int().min(0).max(2_147_483_647).default(0),
            /** live output of steps too, as events `delta` without id; false leaves it out of the stream */
            deltas: z.stringbool().default(true),
            limit: z.coerce.number().int().min(1).max(1000).default(200),
            cursor: z
              .string()
              .regex(/^\d{1,9}$/, 'not a cursor of this list')
              .optional(),
          }),
          response: {
            200: page(eventView),
            204: z.undefined().describe('The execution has finished, nothing follows'),
          },
        },
      },
      async (request, reply) => {
        const { tenant } = callerOf(request)
        const { after, cursor, limit } = request.query
        const execution = await requireExecution(services, tenant, request.params.id)
        if (wantsEvents(request)) {
          const afterVersion = lastEventId(request.headers['last-event-id']) ?? after
          if (isTerminal(execution.status) && afterVersion >= execution.version)
            return reply.status(204).send(undefined)
          const source = executionSource(executions, reads, tenant, execution, afterVersion, limits.readWaitMs)
          const { deltas: shown } = request.query
          return streams.serve(request, reply, tenant, source, {
            watch: (stream, outlet) =>
              shown
                ? deltas?.subscribe(tenant, execution.id, (delta) => {
                    if (stream.takesDeltas) outlet.delta(execution.id, delta)
                  })
                : undefined,
          })
        }
        const events = await listEvents(reads, tenant, execution.id, {
          afterVersion: cursor === undefined ? after : Number(cursor),
          limit: limit + 1,
        })
        const items = events.slice(0, limit)
        const last = items.at(-1)
        return {
          items: items.map(eventViewOf),
          ...(events.length > limit && last && { nextCursor: String(last.version) }),
        }
      },
    )
  }

const lastEventId = (header: string | string[] | undefined): number | undefined => {
  if (header === undefined) return undefined
  if (typeof header === 'string' && /^\d{1,9}$/.test(header)) return Number(header)
  throw new OmiumError('invalid_request', 'last-event-id: expected the id of an event that this stream sent')
}
