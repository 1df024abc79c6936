import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Redact } from '../redaction.ts'
import type { ModelService } from '../service.ts'
import { type ChatRequest, chatRequest, embeddingsRequest, textOf } from '../wire/chat.ts'
import { askOf, parsed, toldHeaders } from './requests.ts'
import { chatFrames, sendStream } from './stream.ts'

export interface CallRouteOptions {
  readonly service: ModelService
  readonly redact: Redact
  /** what was asked, for the log */
  note(request: FastifyRequest, asked: ChatRequest): void
}

/** a worker's model calls are what it connects for; a call reaches no runs */
export const callConfig = { permission: ['models:use', 'workers:connect'], limitedKeys: true } as const
const longestLogged = 4000

/** @param logPrompts prompts are logged, redacted; for people who look for an error, never by default */
export const createNote =
  (redact: Redact, logPrompts: boolean): CallRouteOptions['note'] =>
  (request, { model, messages }) => {
    if (!logPrompts) return
    const prompt = messages.map(({ role, content }) => ({
      role,
      text: redact(textOf(content)).slice(0, longestLogged),
    }))
    request.log.info({ model, prompt: prompt.slice(-20) }, 'asked')
  }

/** `POST /v1/chat/completions` and `/v1/embeddings`, as OpenAI's clients call them. */
export const installCallRoutes = (app: FastifyInstance, { service, redact, note }: CallRouteOptions): void => {
  app.post('/v1/chat/completions', { config: callConfig }, async (request, reply) => {
    const body = parsed(chatRequest, request.body)
    const ask = askOf(request, reply)
    note(request, body)
    if (body.stream) {
      const frames = chatFrames(body.stream_options?.include_usage === true)
      // what fails here is an ordinary error with its status
      return sendStream(await service.stream(body, ask), frames, { request, reply, ask, redact })
    }
    const told = await service.complete(body, ask)
    return reply.headers(toldHeaders(told)).send(told.value)
  })

  app.post('/v1/embeddings', { config: callConfig }, async (request, reply) => {
    const told = await service.embed(parsed(embeddingsRequest, request.body), askOf(request, reply))
    return reply.headers(toldHeaders(told)).send(told.value)
  })
}
