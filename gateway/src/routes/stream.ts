import { OmiumError } from '@omium/schemas'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { WebSocket } from 'ws'
import { z } from 'zod'
import { callerOf } from '../auth.ts'
import type { CountMessage } from '../rate-limits.ts'
import type { Services } from '../services.ts'
import { type AskedBy, askedBy } from '../streams/asked-by.ts'
import { createHeartbeats } from '../streams/heartbeats.ts'
import { SocketSession } from '../streams/socket-session.ts'
import { watchStanding } from '../streams/standing.ts'
import { feeds } from '../streams/tenant-source.ts'
import type { Upgrades } from '../streams/upgrades.ts'

/** `/v1/stream`: any number of live subscriptions over one WebSocket. Its messages are `api/stream.ts` of the schemas. */
export const streamRoutes =
  (services: Services, upgrades: Upgrades, countMessage: CountMessage): FastifyPluginAsyncZod =>
  async (app) => {
    const { limits, corsOrigins, streamSlots } = services
    const sessions = createHeartbeats(limits.heartbeatMs)
    let routeOptions: FastifyRequest['routeOptions'] | undefined
    app.addHook('preClose', async () => {
      sessions.end()
    })
    const open = (socket: WebSocket, asked: AskedBy): void => {
      const session = new SocketSession(socket, { services, log: app.log, countMessage }, asked)
      sessions.add(session)
      const unwatch = watchStanding(services, asked, () => void session.askAgain())
      socket.on('close', () => {
        unwatch()
        sessions.delete(session)
      })
    }

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
      handler: async (request, reply) => {
        if (!request.ws) throw new OmiumError('upgrade_required', 'open this path as a WebSocket')
        routeOptions ??= request.routeOptions
        const asked = askedBy(request, routeOptions)
        upgrades.take(request, reply, (socket) => {
          open(socket, asked)
        })
        return reply
      },
    })
  }
