import type { JsonValue } from '@omium/schemas'
import { z } from 'zod'

/**
 * Chat completions as OpenAI's API has them: what callers send, and what every provider's answer is turned into. Members
 * that are not named here are passed on to providers that speak the same API.
 */
const contentPart = z.looseObject({ type: z.string().max(50) })
const content = z.union([z.string(), z.array(contentPart)]).nullish()
const toolCall = z.looseObject({
  id: z.string().max(500),
  type: z.literal('function').default('function'),
  function: z.looseObject({ name: z.string().max(200), arguments: z.string() }),
})

const chatMessage = z.discriminatedUnion('role', [
  z.looseObject({ role: z.literal('system'), content }),
  z.looseObject({ role: z.literal('developer'), content }),
  z.looseObject({ role: z.literal('user'), content }),
  z.looseObject({ role: z.literal('assistant'), content, tool_calls: z.array(toolCall).max(1000).nullish() }),
  z.looseObject({ role: z.literal('tool'), content, tool_call_id: z.string().max(500) }),
])
export type ChatMessage = z.infer<typeof chatMessage>
export type ContentPart = z.infer<typeof contentPart>

const functionTool = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({
    name: z.string().max(200),
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
    strict: z.boolean().nullish(),
  }),
})

/** Becomes a part of providers' paths: one that climbs would reach what the key opens beside models. */
export const modelName = z
  .string()
  .min(1)
  .max(200)
  .refine((name) => name.isWellFormed() && !/(^|\/)\.{1,2}(\/|$)/.test(name), 'no model can have this name')
const count = z.number().int().positive().nullish()

export const chatRequest = z.looseObject({
  model: modelName,
  messages: z.array(chatMessage).min(1).max(10_000),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  tools: z.array(functionTool).max(1000).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  max_tokens: count,
  max_completion_tokens: count,
  n: count,
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  presence_penalty: z.number().nullish(),
  frequency_penalty: z.number().nullish(),
  seed: z.number().int().nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(16)]).nullish(),
  logprobs: z.boolean().nullish(),
  response_format: z.looseObject({ type: z.string() }).nullish(),
  user: z.string().max(500).nullish(),
})
export type ChatRequest = z.infer<typeof chatRequest>

export const embeddingsRequest = z.looseObject({
  model: modelName,
  input: z.union([
    z.string(),
    z.array(z.string()).min(1).max(2048),
    z.array(z.number().int()).min(1),
    z.array(z.array(z.number().int()).min(1)).min(1).max(2048),
  ]),
  dimensions: z.number().int().positive().nullish(),
  encoding_format: z.enum(['float', 'base64']).nullish(),
})
export type EmbeddingsRequest = z.infer<typeof embeddingsRequest>

export interface ToolCall {
  id: string
  type: 'function'
  function: { name: string; arguments: string }
  /** what a provider wants to see again with this call, under its name */
  extra_content?: JsonValue
}

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter'

/** Tokens as OpenAI tells them; `omium_cost_micro_credits` is set when the answering model has a price, or on a cache hit. */
export interface WireUsage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details?: { cached_tokens?: number; cache_write_tokens?: number; [more: string]: unknown }
  omium_cost_micro_credits?: number
  [more: string]: unknown
}

export interface AssistantMessage {
  role: 'assistant'
  content: string | null
  refusal?: string | null
  tool_calls?: ToolCall[]
  [more: string]: unknown
}

export interface ChatCompletion {
  id: string
  object: 'chat.completion'
  created: number
  model: string
  choices: { index: number; message: AssistantMessage; finish_reason: string | null; [more: string]: unknown }[]
  usage?: WireUsage
  [more: string]: unknown
}

export interface ToolCallDelta {
  index: number
  id?: string
  type?: 'function'
  function?: { name?: string; arguments?: string }
  extra_content?: JsonValue
}

export interface ChunkDelta {
  role?: 'assistant'
  content?: string | null
  tool_calls?: ToolCallDelta[]
  [more: string]: unknown
}

export interface ChatChunk {
  id: string
  object: 'chat.completion.chunk'
  created: number
  model: string
  choices: { index: number; delta: ChunkDelta; finish_reason: string | null; [more: string]: unknown }[]
  usage?: WireUsage | null
  [more: string]: unknown
}

export interface Embeddings {
  object: 'list'
  model: string
  data: { object: 'embedding'; index: number; embedding: number[] | string }[]
  usage: WireUsage
}

export const usageOf = (input: number, output: number, cached = 0, written = 0): WireUsage => ({
  prompt_tokens: input,
  completion_tokens: output,
  total_tokens: input + output,
  ...(cached + written > 0 && {
    prompt_tokens_details: { cached_tokens: cached, ...(written > 0 && { cache_write_tokens: written }) },
  }),
})

/** The text of a message's content, parts that are not text left out. */
export const textOf = (value: ChatMessage['content']): string =>
  typeof value === 'string'
    ? value
    : (value ?? []).map((part) => (typeof part['text'] === 'string' ? part['text'] : '')).join('')

/** The most tokens that an answer may have, as far as the request says. */
export const outputLimitOf = (request: ChatRequest): number | undefined =>
  request.max_completion_tokens ?? request.max_tokens ?? undefined
