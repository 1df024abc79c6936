import { notForServices } from '@omium/access'
import { createdServiceToken, createServiceTokenBody, OmiumError } from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { callerOf } from '../auth.ts'
import type { Services } from '../services.ts'

/** Short-lived tokens for calls between services, in the name of whoever asks. */
export const serviceTokenRoutes =
  ({ mintServiceToken }: Services): FastifyPluginAsyncZod =>
  async (app) => {
    app.post(
      '/v1/service-tokens',
      {
        config: { permission: 'tokens:write' },
        schema: {
          tags: ['keys'],
          summary: 'Create a token of five minutes for calls to one service',
          body: createServiceTokenBody,
          response: { 201: createdServiceToken },
        },
      },
      async (request, reply) => {
        const { tenant, id, session, permissions: held } = callerOf(request)
        const { audience, permissions } = request.body
        const more = permissions.filter((one) => !held.has(one) || notForServices.includes(one))
        if (more.length > 0) throw new OmiumError('forbidden', `you cannot give a service ${more.join(', ')}`)
        const source = session ? { user: id, session: session.sessionId } : { key: id }
        const { token, expiresAt } = await mintServiceToken(audience, { tenant, source, permissions })
        const created = { token, audience, permissions, expiresAt: new Date(expiresAt).toISOString() }
        return reply.status(201).send(created)
      },
    )
  }
