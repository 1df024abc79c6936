import type { JsonValue, RetryPolicy, Usage } from '@omium/schemas'
import type { z } from 'zod'
import type { Reconcile, StepInfo } from '../step.ts'

/** A tool call as OpenAI-compatible models make them; `arguments` is JSON text. */
export interface ToolCall {
  id: string
  type: 'function'
  function: { name: string; arguments: string }
}

export type ChatMessage =
  | { role: 'system' | 'developer'; content: string }
  | { role: 'user'; content: string | JsonValue[] }
  | { role: 'assistant'; content: string | null; tool_calls?: ToolCall[] }
  | { role: 'tool'; content: string; tool_call_id: string }

/** What a completion is asked with; members that are not named here are passed on as they are. */
interface ChatParameters {
  model: string
  messages: readonly ChatMessage[]
  tool_choice?: JsonValue
  temperature?: number
  max_tokens?: number
  max_completion_tokens?: number
  response_format?: JsonValue
  [parameter: string]: unknown
}

/** Body of `POST <base>/chat/completions`. */
export interface ChatRequest extends ChatParameters {
  tools?: readonly JsonValue[]
}

export interface ChatResult {
  /** as it goes back into the next request's messages */
  message: { role: 'assistant'; content: string | null; tool_calls?: ToolCall[] }
  /** the message's text, empty when it only calls tools */
  content: string
  finishReason: string
  /** tokens and cost in millionths of a credit, as far as they are known */
  usage: Usage
}

export interface ToolSpec<Schema extends z.ZodType> {
  name: string
  description?: string
  schema: Schema
  execute(input: z.output<Schema>, info: StepInfo): unknown
  retry?: Partial<RetryPolicy> | false
  timeoutMs?: number
  effect?: true | { reconcile?: Reconcile<unknown> }
}

/** A tool without its types, as a tool loop holds it. */
export interface Tool extends Omit<ToolSpec<z.ZodType>, 'execute'> {
  execute(input: never, info: StepInfo): unknown
}

/** Defines a tool that a model may call; the schema's output types `execute`. */
export const tool = <Schema extends z.ZodType>(spec: ToolSpec<Schema>): Tool => spec

export interface ToolLoopRequest extends ChatParameters {
  tools: readonly Tool[]
  /** completions at most, 10 unless told */
  maxTurns?: number
}

export interface ToolLoopResult {
  content: string
  /** the whole conversation, with the tools' answers */
  messages: ChatMessage[]
  turns: number
  usage: Usage
}

/** One answer of a model, before it is priced. */
export interface Completion {
  message: ChatResult['message']
  finishReason: string
  model: string
  inputTokens?: number
  outputTokens?: number
  /** what the endpoint says that it cost, which counts before any price table */
  costMicroCredits?: number
}

/** Whatever answers chat requests: an OpenAI-compatible endpoint, or a script in a test. */
export type Complete = (
  request: ChatRequest,
  options: {
    signal: AbortSignal
    onDelta: ((text: string) => void) | undefined
    /** the same for every try of a call */
    idempotencyKey?: string
  },
) => Promise<Completion>

/** Micro-credits per token, which is the same number as US dollars per million tokens. */
export interface Price {
  input: number
  output: number
}

/** Prices by the beginning of a model's name; the longest match counts. */
export interface PriceTable {
  version: string
  models: Readonly<Record<string, Price>>
}

export interface LlmSettings {
  complete: Complete
  prices: PriceTable
}
