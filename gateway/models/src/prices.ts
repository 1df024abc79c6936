import type { ChatRequest, EmbeddingsRequest, WireUsage } from './wire/chat.ts'
import { outputLimitOf } from './wire/chat.ts'

/**
 * What models cost, US dollars per million tokens (which is micro-credits per token). The list that counts for every call
 * through the service; a settings file may change and add. Changed prices get a new version: what was recorded stays.
 */
export interface ModelPrice {
  readonly input: number
  readonly output: number
  /** prompt tokens that the provider had cached; as `input` unless told */
  readonly cachedInput?: number | undefined
  /** prompt tokens that were written to the provider's cache; as `input` unless told */
  readonly cacheWrite?: number | undefined
  /** another price for prompts of more tokens than this */
  readonly above?: { readonly inputTokens: number; readonly input: number; readonly output: number } | undefined
}

export interface PriceList {
  readonly version: string
  readonly models: Readonly<Record<string, ModelPrice>>
}

export const listPrices: PriceList = {
  version: '2026-01',
  models: {
    'gpt-4o': { input: 2.5, output: 10, cachedInput: 1.25 },
    'gpt-4o-mini': { input: 0.15, output: 0.6, cachedInput: 0.075 },
    'gpt-4.1': { input: 2, output: 8, cachedInput: 0.5 },
    'gpt-4.1-mini': { input: 0.4, output: 1.6, cachedInput: 0.1 },
    'gpt-4.1-nano': { input: 0.1, output: 0.4, cachedInput: 0.025 },
    'gpt-5': { input: 1.25, output: 10, cachedInput: 0.125 },
    'gpt-5-mini': { input: 0.25, output: 2, cachedInput: 0.025 },
    'gpt-5-nano': { input: 0.05, output: 0.4, cachedInput: 0.005 },
    o3: { input: 2, output: 8, cachedInput: 0.5 },
    'o4-mini': { input: 1.1, output: 4.4, cachedInput: 0.275 },
    'text-embedding-3-small': { input: 0.02, output: 0 },
    'text-embedding-3-large': { input: 0.13, output: 0 },
    'claude-opus-4': { input: 15, output: 75, cachedInput: 1.5, cacheWrite: 18.75 },
    'claude-opus-4-5': { input: 5, output: 25, cachedInput: 0.5, cacheWrite: 6.25 },
    'claude-sonnet-4': { input: 3, output: 15, cachedInput: 0.3, cacheWrite: 3.75 },
    'claude-sonnet-4-5': { input: 3, output: 15, cachedInput: 0.3, cacheWrite: 3.75 },
    'claude-haiku-4-5': { input: 1, output: 5, cachedInput: 0.1, cacheWrite: 1.25 },
    'gemini-2.5-pro': {
      input: 1.25,
      output: 10,
      cachedInput: 0.125,
      above: { inputTokens: 200_000, input: 2.5, output: 15 },
    },
    'gemini-2.5-flash': { input: 0.3, output: 2.5, cachedInput: 0.03 },
    'gemini-2.5-flash-lite': { input: 0.1, output: 0.4, cachedInput: 0.01 },
    'gemini-embedding-001': { input: 0.15, output: 0 },
  },
}

/** What may follow a listed name and still be that model: a date, a snapshot, a tag; never another size or generation. */
const sameModel = /^(?:[-@:](?:\d{4}-?\d{2}-?\d{2}|\d{3}|latest|preview(?:-[\d-]+)?))?$/

/** The listed name of a model, its own with or without its maker's (`openai/gpt-4o`); undefined when it is not listed. */
export const listedName = ({ models }: PriceList, model: string): string | undefined => {
  const bare = model.slice(model.lastIndexOf('/') + 1)
  for (const name of [model, bare])
    for (const listed of Object.keys(models))
      if (name.startsWith(listed) && sameModel.test(name.slice(listed.length))) return listed
  return undefined
}

/** undefined when the model is not listed */
export const priceOf = (list: PriceList, model: string): ModelPrice | undefined => {
  const listed = listedName(list, model)
  return listed === undefined ? undefined : list.models[listed]
}

/** Millionths of a micro-credit: prices have up to six decimals, sums stay whole numbers. */
const exact = (tokens: number, price: number): bigint =>
  BigInt(Math.ceil(tokens)) * BigInt(Math.round(price * 1_000_000))
const roundedUp = (sum: bigint): number => Number((sum + 999_999n) / 1_000_000n)

/** Micro-credits, rounded up. Providers count cached tokens within the prompt's. */
export const costOf = (price: ModelPrice, usage: WireUsage): number => {
  const { prompt_tokens: input, completion_tokens: output, prompt_tokens_details: details } = usage
  const cached = Math.min(input, details?.cached_tokens ?? 0)
  const written = Math.min(input - cached, details?.cache_write_tokens ?? 0)
  const tier = price.above && input > price.above.inputTokens ? price.above : price
  return roundedUp(
    exact(input - cached - written, tier.input) +
      exact(cached, price.cachedInput ?? tier.input) +
      exact(written, price.cacheWrite ?? tier.input) +
      exact(output, tier.output),
  )
}

/** Tokens that an answer may have when the request sets no limit. */
const assumedOutputTokens = 8192

/** Half the bytes of a request's JSON: text averages three to four bytes a token, so this bounds its tokens from above. */
export const mostInputTokens = (request: ChatRequest | EmbeddingsRequest): number =>
  Math.ceil(Buffer.byteLength(JSON.stringify(request)) / 2)

/** Tokens to reckon with before they are known: a quarter of the bytes, and a part of what the answer may have. */
export const likelyTokens = (request: ChatRequest | EmbeddingsRequest): number => {
  const input = Math.ceil(mostInputTokens(request) / 2)
  return 'messages' in request ? input + Math.min(1024, outputLimitOf(request as ChatRequest) ?? 1024) : input
}

/** The most that a request may cost, micro-credits. */
export const worstCaseOf = (price: ModelPrice, request: ChatRequest | EmbeddingsRequest): number => {
  const inputTokens = mostInputTokens(request)
  const asked = 'messages' in request ? (request as ChatRequest) : undefined
  const outputTokens = asked ? (outputLimitOf(asked) ?? assumedOutputTokens) * (asked.n ?? 1) : 0
  const tier = price.above && inputTokens > price.above.inputTokens ? price.above : price
  const input = Math.max(tier.input, price.cacheWrite ?? 0)
  return roundedUp(exact(inputTokens, input) + exact(outputTokens, tier.output))
}
