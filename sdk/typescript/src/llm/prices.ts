import type { Usage } from '@omium/schemas'
import type { ChatRequest, Completion, Price, PriceTable } from './model.ts'

/** List prices of common models. A worker may bring its own table; a model that is in none has no recorded cost. */
export const defaultPrices: PriceTable = {
  version: '2026-01',
  models: {
    'gpt-4o': { input: 2.5, output: 10 },
    'gpt-4o-mini': { input: 0.15, output: 0.6 },
    'gpt-4.1': { input: 2, output: 8 },
    'gpt-4.1-mini': { input: 0.4, output: 1.6 },
    'gpt-4.1-nano': { input: 0.1, output: 0.4 },
    'gpt-5': { input: 1.25, output: 10 },
    'gpt-5-mini': { input: 0.25, output: 2 },
    'gpt-5-nano': { input: 0.05, output: 0.4 },
    o3: { input: 2, output: 8 },
    'o4-mini': { input: 1.1, output: 4.4 },
    'claude-opus-4': { input: 15, output: 75 },
    'claude-sonnet-4': { input: 3, output: 15 },
    'claude-haiku-4': { input: 1, output: 5 },
  },
}

const priceOf = (table: PriceTable, model: string): Price | undefined => {
  const bare = model.slice(model.lastIndexOf('/') + 1)
  let best: string | undefined
  for (const prefix of Object.keys(table.models))
    if (bare.startsWith(prefix) && (best === undefined || prefix.length > best.length)) best = prefix
  return best === undefined ? undefined : table.models[best]
}

/**
 * Tokens and cost of one answer. The cost is what the endpoint said; otherwise the table's, rounded up to whole
 * micro-credits, and absent for models without a price.
 */
export const usageOf = (table: PriceTable, completion: Completion): Usage => {
  const { model, inputTokens, outputTokens } = completion
  const price = priceOf(table, model)
  const byTable = price && Math.ceil((inputTokens ?? 0) * price.input + (outputTokens ?? 0) * price.output)
  const cost = completion.costMicroCredits ?? byTable
  return {
    model,
    ...(inputTokens !== undefined && { inputTokens }),
    ...(outputTokens !== undefined && { outputTokens }),
    ...(cost !== undefined && { costMicroCredits: cost }),
  }
}

/** Tokens that an answer may have when the request sets no limit. */
const assumedOutputTokens = 4096

/**
 * The most that a request may cost, micro-credits. Text of the priced models averages three to four bytes a token, so half
 * the bytes of its JSON bound the input from above; the output is bounded by the request's own limit.
 */
export const worstCaseMicroCredits = (table: PriceTable, request: ChatRequest): number => {
  const price = priceOf(table, request.model)
  if (!price) return 0
  const inputTokens = Buffer.byteLength(JSON.stringify(request)) / 2
  const outputTokens = request.max_completion_tokens ?? request.max_tokens ?? assumedOutputTokens
  return Math.ceil(inputTokens * price.input + outputTokens * price.output)
}
