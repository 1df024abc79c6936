import { z } from 'zod'

/** The part of the OpenAI chat completions API that this server understands. Unknown fields are accepted and ignored. */

const toolCall = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
})

/** Content is text, or parts of which only the text ones are read. */
const content = z
  .union([z.string(), z.null(), z.array(z.looseObject({ type: z.string(), text: z.string().optional() }))])
  .optional()
  .transform((value) => {
    if (typeof value === 'string') return value
    return (value ?? []).map((part) => part.text ?? '').join('')
  })

export const chatMessage = z.discriminatedUnion('role', [
  z.looseObject({ role: z.literal('system'), content }),
  z.looseObject({ role: z.literal('developer'), content }),
  z.looseObject({ role: z.literal('user'), content }),
  z.looseObject({ role: z.literal('assistant'), content, tool_calls: z.array(toolCall).optional() }),
  z.looseObject({ role: z.literal('tool'), content, tool_call_id: z.string() }),
])
export type ChatMessage = z.infer<typeof chatMessage>

export const chatRequest = z.looseObject({
  model: z.string().min(1),
  messages: z.array(chatMessage).min(1).max(10_000),
  tools: z
    .array(
      z.looseObject({
        type: z.literal('function'),
        function: z.looseObject({
          name: z.string(),
          description: z.string().optional(),
          parameters: z
            .looseObject({
              properties: z.record(z.string(), z.unknown()).optional(),
              required: z.array(z.string()).optional(),
            })
            .optional(),
        }),
      }),
    )
    .optional(),
  stream: z.boolean().optional(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
})
export type ChatRequest = z.infer<typeof chatRequest>

/** What a role decides to say: text, or calls of the offered tools. */
export type Answer =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tools'; readonly calls: readonly { readonly name: string; readonly arguments: unknown }[] }

export const text = (value: string): Answer => ({ kind: 'text', text: value })
export const json = (value: unknown): Answer => ({ kind: 'text', text: JSON.stringify(value, null, 2) })

export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
}

/** An estimate of tokens: words and punctuation marks. Deterministic, and near enough to show costs by. */
const estimateTokens = (value: string): number => value.match(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu)?.length ?? 0

export const usageOf = (request: ChatRequest, answer: Answer): Usage => {
  const prompt = request.messages.reduce((sum, message) => sum + estimateTokens(messageText(message)) + 4, 0)
  const completion = answer.kind === 'text' ? estimateTokens(answer.text) : estimateTokens(JSON.stringify(answer.calls))
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion }
}

const messageText = (message: ChatMessage): string =>
  message.role === 'assistant' && message.tool_calls
    ? `${message.content}${JSON.stringify(message.tool_calls)}`
    : message.content
