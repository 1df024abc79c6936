import { OmiumError, requestHashOf } from '@omium/schemas'
import type { Minting, StreamReader, WireEvent, WireRequest } from '../dialects/dialect.ts'
import type { Target } from '../registry/registry.ts'
import type { ChatChunk, ChatCompletion, ChatRequest, Embeddings, EmbeddingsRequest } from '../wire/chat.ts'
import type { SendOptions, Transport } from './transport.ts'

/** One request to one provider: translated, sent, and its answer translated back. Nothing is tried twice here. */
export interface Exchanges {
  complete(target: Target, request: ChatRequest, options: SendOptions): Promise<ChatCompletion>
  /**
   * The chunks, those together that came together. Resolves with the first in hand, so that what fails before it can still be
   * tried elsewhere.
   */
  stream(
    target: Target,
    request: ChatRequest,
    options: SendOptions,
  ): Promise<AsyncGenerator<readonly ChatChunk[], void>>
  embed(target: Target, request: EmbeddingsRequest, options: SendOptions): Promise<Embeddings>
}

/** Whatever a translation stumbles over is in the provider's answer: it is not what the API promises. */
const readable = <T>(provider: string, read: () => T): T => {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof OmiumError) throw cause
    throw new OmiumError('model_malformed', `${provider} sent something that cannot be read`, { cause })
  }
}

const chunksIn = async function* (
  provider: string,
  batches: AsyncGenerator<readonly WireEvent[], void>,
  reader: StreamReader,
): AsyncGenerator<readonly ChatChunk[], void> {
  for await (const batch of batches) {
    const chunks: ChatChunk[] = []
    try {
      for (const event of batch) {
        chunks.push(...readable(provider, () => reader.read(event)))
        if (reader.done) break
      }
    } catch (error) {
      // what was said before it counts
      if (chunks.length > 0) yield chunks
      throw error
    }
    if (chunks.length > 0) yield chunks
    if (reader.done) break
  }
  const last = readable(provider, () => reader.end())
  if (last.length > 0) yield last
}

export const createExchanges = (transport: Transport, minting: Minting): Exchanges => {
  /** A key stands for one request in its provider's words: a step that asks for something else on its next try has another. */
  const optionsFor = ({ provider }: Target, { body }: WireRequest, options: SendOptions): SendOptions => {
    const { idempotencyKey: key, ...rest } = options
    const takesKeys = provider.settings.idempotencyKeys ?? provider.dialect.idempotencyKeys
    return key !== undefined && takesKeys ? { ...rest, idempotencyKey: `${key}:${requestHashOf(body)}` } : rest
  }
  return {
    async complete(target, request, options) {
      const { provider, model } = target
      const wire = provider.dialect.chat(request, model, false)
      const answer = await transport.json(provider, wire, optionsFor(target, wire, options))
      return readable(provider.name, () => provider.dialect.completion(answer, model, minting))
    },

    async stream(target, request, options) {
      const { provider, model } = target
      const wire = provider.dialect.chat(request, model, true)
      const events = await transport.events(provider, wire, optionsFor(target, wire, options))
      const chunks = chunksIn(provider.name, events, provider.dialect.stream(model, minting))
      const first = await chunks.next()
      return (async function* () {
        if (first.done) return
        try {
          yield first.value
          yield* chunks
        } finally {
          await chunks.return()
        }
      })()
    },

    async embed(target, request, options) {
      const { provider, model } = target
      const wire = provider.dialect.embeddings(request, model)
      const answer = await transport.json(provider, wire, optionsFor(target, wire, options))
      return readable(provider.name, () => provider.dialect.embedded(answer, request, model))
    },
  }
}
