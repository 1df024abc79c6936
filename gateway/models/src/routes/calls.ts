import { once } from 'node:events'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { CallerGone } from '../calls/failures.ts'
import type { Redact } from '../redaction.ts'
import type { Ask, ModelService } from '../service.ts'
import { type ChatChunk, type ChatRequest, chatRequest, embeddingsRequest, textOf } from '../wire/chat.ts'
import { errorBody, toOmiumError } from '../wire/errors.ts'
import { askOf, parsed, toldHeaders } from './requests.ts'

export interface CallRouteOptions {
  readonly service: ModelService
  readonly redact: Redact
  /** prompts are logged, redacted; for people who look for an error, never by default */
  readonly logPrompts: boolean
}

/** a worker's model calls are what it connects for; a call reaches no runs */
const config = { permission: ['models:use', 'workers:connect'], limitedKeys: true } as const
const longestLogged = 4000

/** `POST /v1/chat/completions` and `/v1/embeddings`, as OpenAI's clients call them. */
export const installCallRoutes = (app: FastifyInstance, { service, redact, logPrompts }: CallRouteOptions): void => {
  const note = (request: FastifyRequest, { model, messages }: ChatRequest): void => {
    if (!logPrompts) return
    const prompt = messages.map(({ role, content }) => ({
      role,
      text: redact(textOf(content)).slice(0, longestLogged),
    }))
    request.log.info({ model, prompt: prompt.slice(-20) }, 'asked')
  }

  app.post('/v1/chat/completions', { config }, async (request, reply) => {
    const body = parsed(chatRequest, request.body)
    const ask = askOf(request, reply)
    note(request, body)
    if (body.stream) return streamChat(body, ask, request, reply)
    const told = await service.complete(body, ask)
    return reply.headers(toldHeaders(told)).send(told.value)
  })

  app.post('/v1/embeddings', { config }, async (request, reply) => {
    const told = await service.embed(parsed(embeddingsRequest, request.body), askOf(request, reply))
    return reply.headers(toldHeaders(told)).send(told.value)
  })

  const streamChat = async (
    body: ChatRequest,
    ask: Ask,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> => {
    // what fails here is an ordinary error with its status
    const told = await service.stream(body, ask)
    const showUsage = body.stream_options?.include_usage === true
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
      if (!reply.raw.write(text)) await once(reply.raw, 'drain', { signal: ask.signal })
    }
    try {
      for await (const batch of told.value) {
        const text = batch
          .map((chunk) => (showUsage ? chunk : withoutUsage(chunk)))
          .map((chunk) => (chunk ? `data: ${JSON.stringify(chunk)}\n\n` : ''))
          .join('')
        if (text !== '') await send(text)
      }
      await send('data: [DONE]\n\n')
    } catch (error) {
      if (!(error instanceof CallerGone) && !ask.signal.aborted) {
        const failure = toOmiumError(error)
        request.log.warn({ code: failure.code, model: body.model }, 'a stream broke off')
        reply.raw.write(`data: ${JSON.stringify(errorBody(failure, redact(failure.message), request.id))}\n\n`)
      }
    }
    reply.raw.end()
    return reply
  }
}

/** undefined when nothing is left of it */
const withoutUsage = ({ usage: _, ...chunk }: ChatChunk): ChatChunk | undefined =>
  chunk.choices.length === 0 ? undefined : (chunk as ChatChunk)
