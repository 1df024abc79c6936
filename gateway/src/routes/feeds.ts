import { chargesPage, type FeedName, feedQuery, OmiumError, tenantEventsPage } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import { callerOf } from '../auth.ts'
import type { Services } from '../services.ts'
import { eventText } from '../streams/outlet.ts'
import { createSseStreams, wantsEvents } from '../streams/serve-sse.ts'
import { feeds, tenantSource } from '../streams/tenant-source.ts'

const description =
  'Events after the given positions: a page of those that there are, or with `accept: text/event-stream` those that come, too. ' +
  'Ids of the stream are positions; reconnect with `Last-Event-ID`. The event `position` says how far a reader is that had ' +
  'nothing for a while.'

/** What happens to all runs of a tenant, and what they cost: by pages, or live as server-sent events. */
export const feedRoutes =
  (services: Services): FastifyPluginAsyncZod =>
  async (app) => {
    const { reads, executions, limits } = services
    const streams = createSseStreams(services)
    app.addHook('preClose', async () => streams.close())

    const answer = async (
      request: FastifyRequest,
      reply: FastifyReply,
      feed: FeedName,
      { after, cursor = after, limit }: z.output<typeof feedQuery>,
    ) => {
      const { tenant } = callerOf(request)
      const isLive = wantsEvents(request)
      const from = (isLive ? lastEventId(request.headers['last-event-id']) : undefined) ?? cursor
      const source = tenantSource(executions, reads, tenant, {
        feed,
        after: from?.split(',') ?? [],
        historyWaitMs: limits.readWaitMs,
        isLive,
      })
      if (!isLive) {
        const { items, isLast } = await source.page(limit)
        const stands = source.after().join()
        return { items, after: stands, ...(!isLast && { nextCursor: stands }) }
      }
      let stands = ''
      return streams.serve(request, reply, tenant, source, {
        frame: (streamed) =>
          `id: ${source.after(streamed)}\nevent: ${streamed.event.type}\n` +
          `data: {"execution":"${streamed.execution}","event":${eventText(streamed.event)}}\n\n`,
        beat: (stream) => {
          if (!stream.isCaughtUp) return undefined
          source.caughtUp()
          const before = stands
          stands = source.after().join()
          return stands === before ? undefined : `id: ${stands}\nevent: position\ndata: ${JSON.stringify(stands)}\n\n`
        },
      })
    }

    app.get(
      '/v1/events',
      {
        config: { permission: feeds.executions.permission },
        schema: {
          tags: ['executions'],
          summary: "Events of all of the tenant's executions",
          description,
          querystring: feedQuery,
          response: { 200: tenantEventsPage },
        },
      },
      async (request, reply) => answer(request, reply, 'executions', request.query),
    )
    app.get(
      '/v1/charges',
      {
        config: { permission: feeds.charges.permission },
        schema: {
          tags: ['executions'],
          summary: "What the tenant's executions used and cost, step by step",
          description: `${description} Each is a step's event with its usage, without what was asked or answered.`,
          querystring: feedQuery,
          response: { 200: chargesPage },
        },
      },
      async (request, reply) =>
        answer(request, reply, 'charges', request.query) as Promise<z.input<typeof chargesPage>>,
    )
  }

const lastEventId = (header: string | string[] | undefined): string | undefined => {
  if (header === undefined) return undefined
  const parsed = feedQuery.shape.after.safeParse(header)
  if (parsed.success) return parsed.data
  throw new OmiumError('invalid_request', 'last-event-id: expected the id of an event that this stream sent')
}
