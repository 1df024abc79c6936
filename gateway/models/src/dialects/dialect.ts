import { OmiumError } from '@omium/schemas'
import type { ChatChunk, ChatCompletion, ChatRequest, Embeddings, EmbeddingsRequest } from '../wire/chat.ts'

/** A request in a provider's own words; `path` comes after its base URL. */
export interface WireRequest {
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body: object
}

/** One server-sent event. */
export interface WireEvent {
  readonly event?: string | undefined
  readonly data: string
}

/** Turns a provider's stream into chunks; one for each stream. */
export interface StreamReader {
  /** @throws OmiumError `model_*` when the provider breaks off in the middle, SyntaxError when the data is not JSON */
  read(event: WireEvent): readonly ChatChunk[]
  /** the stream has said all that there is to say: what comes after is not waited for */
  readonly done: boolean
  /** the transport ended. @throws OmiumError `model_malformed` when the answer is not whole */
  end(): readonly ChatChunk[]
}

/** What a translation may need that is not in the data: kept out of it, so that it is a pure function. */
export interface Minting {
  /** a fresh id with this prefix */
  id(prefix: string): string
  /** seconds since the epoch */
  nowSeconds(): number
}

/**
 * A provider's wire format, as pure functions from and to OpenAI's. What a provider can't do is refused with
 * `invalid_request`, never left out silently, unless leaving it out changes nothing but quality of service (`seed`,
 * `user`, `parallel_tool_calls: true`).
 */
export interface Dialect {
  readonly name: DialectName
  /** the header that carries the key */
  auth(apiKey: string): Record<string, string>
  /** headers of every request */
  readonly headers?: Readonly<Record<string, string>>
  /** takes an `idempotency-key` header */
  readonly idempotencyKeys: boolean
  /** @param model the provider's own name */
  chat(request: ChatRequest, model: string, stream: boolean): WireRequest
  completion(answer: unknown, model: string, minting: Minting): ChatCompletion
  stream(model: string, minting: Minting): StreamReader
  embeddings(request: EmbeddingsRequest, model: string): WireRequest
  embedded(answer: unknown, request: EmbeddingsRequest, model: string): Embeddings
}

export const dialectNames = ['openai', 'azure', 'anthropic', 'gemini'] as const
export type DialectName = (typeof dialectNames)[number]

/** @throws OmiumError `invalid_request` always */
export const cannot = (provider: string, what: string): never => {
  throw new OmiumError('invalid_request', `${provider} models cannot be asked with ${what}`)
}

/** @throws OmiumError `model_malformed` always */
export const malformed = (why: string): never => {
  throw new OmiumError('model_malformed', `the model provider's answer cannot be read: ${why}`)
}

/** Members of an answer that may be anything. */
export type Loose = Readonly<Record<string, unknown>>
export const looseOf = (value: unknown): Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : {}
export const listOf = (value: unknown): readonly Loose[] => (Array.isArray(value) ? value.map(looseOf) : [])
export const textIn = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
export const countIn = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.ceil(value) : 0

/** What only OpenAI's API knows and what changes the answer; other members that it alone knows only serve its quality. */
const onlyOpenai = ['functions', 'function_call', 'logit_bias', 'top_logprobs', 'audio', 'web_search_options']

/** @throws OmiumError `invalid_request` when the request asks for what only OpenAI's own API has */
export const refuseForeign = (provider: string, request: ChatRequest): void => {
  for (const member of onlyOpenai)
    if (request[member] !== undefined && request[member] !== null) cannot(provider, member)
  if ((request.n ?? 1) > 1) cannot(provider, 'n greater than 1')
  if (request.logprobs) cannot(provider, 'logprobs')
}

export const stopsOf = (stop: ChatRequest['stop']): string[] | undefined =>
  typeof stop === 'string' ? [stop] : (stop ?? undefined)

/** `data:image/png;base64,...` in parts; undefined for other URLs. */
export const dataUrl = (url: string): { mediaType: string; data: string } | undefined => {
  const found = /^data:([\w.+-]+\/[\w.+-]+);base64,([A-Za-z0-9+/=\s]+)$/.exec(url)
  return found?.[1] && found[2] ? { mediaType: found[1], data: found[2] } : undefined
}

/** Arguments of a call, as an object. @throws OmiumError `invalid_request` when the caller sends something else */
export const argumentsOf = (name: string, text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text === '' ? '{}' : text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // told below
  }
  throw new OmiumError('invalid_request', `the arguments of the call of ${name} are not a JSON object`)
}
