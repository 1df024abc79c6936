import { listAgents, listEngineEndpoints } from '@omium/projection-executions'
import { agentView, page, pageQuery, workerConnectReply } from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import type { Services } from '../services.ts'
import { agentViewOf } from '../views.ts'

/** What can be started, and where workers connect. */
export const platformRoutes =
  ({ reads, nowMs, limits, mintWorkerToken }: Services): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/v1/agents',
      {
        config: { permission: 'platform:read' },
        schema: {
          tags: ['agents'],
          summary: 'Agents that workers have registered',
          querystring: pageQuery,
          response: { 200: page(agentView) },
        },
      },
      async (request) => {
        const { items, ...rest } = await listAgents(reads, callerOf(request).tenant, request.query)
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
        const { tenant, id: keyId, actor, session } = callerOf(request)
        const expiresAt = nowMs() + limits.workerTokenMs
        return {
          token: mintWorkerToken({
            tenant,
            keyId,
            actor,
            ...(session && { session: session.sessionId }),
            expiresAt,
          }),
          expiresAt: new Date(expiresAt).toISOString(),
          endpoints: await listEngineEndpoints(reads),
        }
      },
    )
  }
