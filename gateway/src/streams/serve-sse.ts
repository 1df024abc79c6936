import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Services } from '../services.ts'
import { EventStream, type StreamSource } from './event-stream.ts'
import { type SseOptions, SseOutlet } from './sse-outlet.ts'
import { askAgain, watchStanding } from './standing.ts'

/** Whether a stream is asked for rather than a page. With HEAD it would hold its connection and show nothing. */
export const wantsEvents = ({ method, headers }: FastifyRequest): boolean =>
  method === 'GET' && headers.accept?.includes('text/event-stream') === true

/** What a stream shows besides, and how. */
export interface Shown extends Pick<SseOptions, 'frame'> {
  /** said in place of a heartbeat */
  beat?(stream: EventStream): string | undefined
  /** what is shown between the events; returns the way to stop */
  watch?(stream: EventStream, outlet: SseOutlet): (() => void) | undefined
}

/** Every stream of server-sent events of one app: its end ends them. */
export interface SseStreams {
  /**
   * Answers the request with the source's events until nothing follows or the reader leaves. The reader holds one of its
   * tenant's slots meanwhile.
   * @throws OmiumError `rate_limited` before anything is sent
   */
  serve(
    request: FastifyRequest,
    reply: FastifyReply,
    tenant: string,
    source: StreamSource,
    shown?: Shown,
  ): Promise<FastifyReply>
  close(): void
}

export const createSseStreams = (services: Services): SseStreams => {
  const { limits, streamSlots } = services
  const streams = new Set<EventStream>()
  return {
    close() {
      for (const stream of streams) stream.close()
    },
    async serve(request, reply, tenant, source, { frame, beat, watch } = {}) {
      const leave = streamSlots.take(tenant)
      reply.hijack()
      reply.raw.writeHead(200, {
        // who may read it (CORS), and all else that every answer says
        ...(reply.getHeaders() as OutgoingHttpHeaders),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      reply.raw.flushHeaders()
      // who connects again is told why
      const check = () => void askAgain(services, request).catch(() => stream.close())
      const outlet: SseOutlet = new SseOutlet(reply.raw, {
        heartbeatMs: limits.heartbeatMs,
        askAgain: check,
        onError: (error) => request.log.warn({ err: error }, 'an event stream broke; its reader resumes'),
        ...(frame && { frame }),
        beat: () => beat?.(stream),
      })
      const stream: EventStream = new EventStream(source, outlet, limits)
      const stop = watch?.(stream, outlet)
      const unwatch = watchStanding(services, request, check)
      reply.raw.once('close', () => stream.close())
      // whoever left while it was looked up what they want is not heard leaving any more
      if (reply.raw.destroyed) stream.close()
      streams.add(stream)
      await new Promise<void>((ended) => stream.run(ended))
      streams.delete(stream)
      unwatch()
      stop?.()
      leave()
      return reply
    },
  }
}
