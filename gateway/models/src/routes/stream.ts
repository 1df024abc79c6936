import { once } from 'node:events'
import type { OmiumError } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { CallerGone } from '../calls/failures.ts'
import type { Redact } from '../redaction.ts'
import type { Ask, Told } from '../service.ts'
import type { ChatChunk } from '../wire/chat.ts'
import { type ErrorBody, errorBody, toOmiumError } from '../wire/errors.ts'
import { toldHeaders } from './requests.ts'

/** How an API puts the chunks of an answer into events. Texts are ready to send, empty ones are not sent. */
export interface Frames {
  begin(): string
  batch(chunks: readonly ChatChunk[]): string
  end(): string
  /** it broke off: the last thing that is said */
  failed(body: ErrorBody): string
}

export interface Streaming {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly ask: Ask
  readonly redact: Redact
}

/** how long a reader may take to drain what was sent, ms: a call that nobody reads holds a slot that others wait for */
const slowReaderMs = 30_000

/** Sends an answer that has begun. What fails from here on is an event. */
export const sendStream = async (
  told: Told<AsyncGenerator<readonly ChatChunk[], void>>,
  frames: Frames,
  { request, reply, ask, redact }: Streaming,
): Promise<FastifyReply> => {
  reply.hijack()
  reply.raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    ...toldHeaders(told),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  const send = async (text: string): Promise<void> => {
    // a reader that is slow slows the provider down, not this process's memory up
    if (text === '' || reply.raw.write(text)) return
    const cut = setTimeout(() => reply.raw.destroy(), slowReaderMs)
    await once(reply.raw, 'drain', { signal: ask.signal }).finally(() => clearTimeout(cut))
  }
  try {
    await send(frames.begin())
    for await (const batch of told.value) await send(frames.batch(batch))
    await send(frames.end())
  } catch (error) {
    if (!(error instanceof CallerGone) && !ask.signal.aborted) {
      const failure: OmiumError = toOmiumError(error)
      request.log.warn({ code: failure.code }, 'a stream broke off')
      reply.raw.write(frames.failed(errorBody(failure, redact(failure.message), request.id)))
    }
  }
  reply.raw.end()
  return reply
}

/** Chunks as they are, usage only for those who asked for it. */
export const chatFrames = (showUsage: boolean): Frames => ({
  begin: () => '',
  batch: (chunks) =>
    chunks
      .map((chunk) => (showUsage ? chunk : withoutUsage(chunk)))
      .map((chunk) => (chunk ? `data: ${JSON.stringify(chunk)}\n\n` : ''))
      .join(''),
  end: () => 'data: [DONE]\n\n',
  failed: (body) => `data: ${JSON.stringify(body)}\n\n`,
})

/** undefined when nothing is left of it */
const withoutUsage = ({ usage: _, ...chunk }: ChatChunk): ChatChunk | undefined =>
  chunk.choices.length === 0 ? undefined : (chunk as ChatChunk)
