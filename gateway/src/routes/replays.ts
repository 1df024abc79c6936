import { createReplayBody, executionIdParam, replayReceipt, replayReport } from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import { askerOf, newIdOf } from '../requests.ts'
import { reportReplay, startReplay } from '../rewind/replays.ts'
import type { Services } from '../services.ts'

/** Sets of past runs, run once more with another model, prompt or agent. */
export const replayRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    app.post(
      '/v1/replays',
      {
        config: { permission: 'executions:write' },
        schema: {
          tags: ['replays'],
          summary: 'Replay past runs with another model, prompt, results or agent',
          description:
            'Starts a simulated fork of each: model calls are made, everything else is answered from what was recorded.',
          body: createReplayBody,
          response: { 201: replayReceipt },
        },
      },
      async (request, reply) => {
        const { id = newIdOf(request, services.ids, 'replay') } = request.body
        return reply.status(201).send(await startReplay(services, askerOf(request), id, request.body))
      },
    )

    app.get(
      '/v1/replays/:id',
      {
        config: { permission: 'executions:read' },
        schema: {
          tags: ['replays'],
          summary: 'How the runs of a replay compare with those of the past: outcome, cost, latency',
          params: executionIdParam,
          response: { 200: replayReport },
        },
      },
      async (request) => reportReplay(services, callerOf(request).tenant, request.params.id),
    )
  }
