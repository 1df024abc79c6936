import { listAgents, listEngineEndpoints } from '@omium/projection-executions'
import { agentView, page, workerConnectReply } from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import type { Services } from '../services.ts'
import { agentViewOf } from '../views.ts'

/** What can be started, and where workers connect. */
export const platformRoutes =
  ({ pool, nowMs, limits, mintWorkerToken }: Services): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/v1/agents',
      {
        config: { permission: 'platform:read' },
        schema: {
          tags: ['agents'],
          summary: 'Agents that workers have registered',
          querystring: z.object({
            limit: z.coerce.number().int().min(1).max(200).default(50),
            cursor: z.string().max(500).optional(),
          }),
          response: { 200: page(agentView) },
        },
      },
      async (request) => {
        const { items, ...rest } = await listAgents(pool, callerOf(request).tenant, request.query)
        return { items: items.map(agentViewOf), ...rest }
      },
    )

    app.post(
      '/v1/workers/connect',
      {
        config: { permission: 'workers:connect' },
        schema: {
          tags: ['workers'],
          summary: 'A token for the engines, and where they are',
          response: { 200: workerConnectReply },
        },
      },
      async (request) => {
        const { tenant, id: keyId } = callerOf(request)
        const expiresAt = nowMs() + limits.workerTokenMs
        return {
          token: mintWorkerToken({ tenant, keyId, expiresAt }),
          expiresAt: new Date(expiresAt).toISOString(),
          endpoints: await listEngineEndpoints(pool),
        }
      },
    )
  }
