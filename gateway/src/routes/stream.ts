import { OmiumError } from '@omium/schemas'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import type { Services } from '../services.ts'
import { SocketSession } from '../streams/socket-session.ts'
import { askAgain, requirePart, watchStanding } from '../streams/standing.ts'
import { feeds } from '../streams/tenant-source.ts'

/** `/v1/stream`: any number of live subscriptions over one WebSocket. Its messages are `api/stream.ts` of the schemas. */
export const streamRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { limits, corsOrigins, streamSlots } = services
    const sessions = new Set<SocketSession>()
    app.addHook('preClose', async () => {
      for (const session of sessions) session.end()
    })

    app.route({
      method: 'GET',
      url: '/v1/stream',
      exposeHeadRoute: false,
      config: { permission: [feeds.executions.permission, feeds.charges.permission] },
      schema: {
        tags: ['streams'],
        summary: 'Live events over a WebSocket',
        description:
          'Messages are JSON texts: `{"type":"subscribe","subscription":"a","execution":"..."}` for one run, ' +
          '`{"type":"follow","subscription":"b"}` for all of them, with `"feed":"charges"` for what they cost. Reconnect and subscribe with `after` to resume.',
        response: { 101: z.undefined().describe('The connection is a WebSocket now') },
      },
      // browsers send cookies along from anywhere: only known places may open a stream
      preValidation: async (request) => {
        const { origin, host } = request.headers
        const known = origin === undefined || corsOrigins.includes(origin)
        if (!known && (!URL.canParse(origin) || new URL(origin).host !== host))
          throw new OmiumError('forbidden', `pages of ${origin.slice(0, 200)} may not open a stream`)
        if (!request.ws) return
        // the connection is the stream from now on, whatever becomes of the handshake
        const { socket } = request.raw
        const leave = streamSlots.take(callerOf(request).tenant)
        socket.once('close', leave)
        // whoever left while it was found out who they are closes nothing any more
        if (socket.destroyed) leave()
      },
      handler: async () => {
        throw new OmiumError('upgrade_required', 'open this path as a WebSocket')
      },
      wsHandler: (socket, request) => {
        const session = new SocketSession(socket, {
          services,
          caller: callerOf(request),
          heartbeatMs: limits.heartbeatMs,
          askAgain: () => askAgain(services, request),
          requirePart: (caller, part) => requirePart(services, request, caller, part),
          onError: (error) => request.log.warn({ err: error }, 'a subscription broke; its reader resumes'),
        })
        sessions.add(session)
        const unwatch = watchStanding(services, request, () => void session.askAgain())
        socket.on('close', () => {
          unwatch()
          sessions.delete(session)
        })
      },
    })
  }
