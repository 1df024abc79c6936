import type { FastifyInstance } from 'fastify'
import type { Minting } from '../dialects/dialect.ts'
import { chunksOf } from '../wire/assemble.ts'
import { type ResponseEvent, ResponseEvents } from '../wire/response-events.ts'
import { chatOf, responsesRequest } from '../wire/responses.ts'
import { type CallRouteOptions, callConfig } from './calls.ts'
import { askOf, parsed, toldHeaders } from './requests.ts'
import { type Frames, sendStream } from './stream.ts'

const framed = (events: readonly ResponseEvent[]): string =>
  events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')

const framesOf = (events: ResponseEvents): Frames => ({
  begin: () => framed(events.begin()),
  batch: (chunks) => framed(chunks.flatMap((chunk) => events.add(chunk))),
  end: () => framed(events.end()),
  failed: (body) => framed([events.failed(body)]),
})

/** `POST /v1/responses`: asked as chat completions are, answered in the words of the Responses API. */
export const installResponseRoutes = (
  app: FastifyInstance,
  { service, redact, note, minting }: CallRouteOptions & { readonly minting: Minting },
): void => {
  app.post('/v1/responses', { config: callConfig }, async (request, reply) => {
    const body = parsed(responsesRequest, request.body)
    const chat = chatOf(body)
    const ask = askOf(request, reply)
    note(request, chat)
    const events = new ResponseEvents(body, minting)
    // what fails here is an ordinary error with its status
    if (body.stream)
      return sendStream(await service.stream(chat, ask), framesOf(events), { request, reply, ask, redact })
    const told = await service.complete(chat, ask)
    for (const chunk of chunksOf(told.value)) events.add(chunk)
    return reply.headers(toldHeaders(told)).send(events.response())
  })
}
