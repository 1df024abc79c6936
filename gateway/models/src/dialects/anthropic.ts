import type {
  ContentBlockParam,
  MessageCreateParamsBase,
  MessageParam,
  TextBlockParam,
  ToolChoice,
} from '@anthropic-ai/sdk/resources/messages'
import { refusalIn } from '@omium/schemas'
import {
  type ChatCompletion,
  type ChatMessage,
  type ChatRequest,
  type ContentPart,
  outputLimitOf,
  type ToolCall,
  textOf,
} from '../wire/chat.ts'
import { anthropicStream, finishOf, tokensOf } from './anthropic-stream.ts'
import {
  argumentsOf,
  cannot,
  type Dialect,
  dataUrl,
  listOf,
  looseOf,
  malformed,
  refuseForeign,
  stopsOf,
  textIn,
} from './dialect.ts'

/**
 * Anthropic's Messages API. Its request type is the official SDK's, so that a change of the API shows when types are checked.
 * Thinking is neither asked for nor passed on.
 */
const name = 'Anthropic'
/** the Messages API wants a limit; OpenAI's default is the model's own */
const defaultMaxTokens = 8192

/** The sampling parameters are not in the SDK's types any more; models that know them still take them. */
type Params = MessageCreateParamsBase & { temperature?: number; top_p?: number }

const imageMediaTypes = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'] as const
type ImageMediaType = (typeof imageMediaTypes)[number]
const isImage = (mediaType: string): mediaType is ImageMediaType =>
  (imageMediaTypes as readonly string[]).includes(mediaType)

const userBlock = (part: ContentPart): ContentBlockParam => {
  if (part.type === 'text') return { type: 'text', text: String(part['text'] ?? '') }
  if (part.type !== 'image_url') return cannot(name, `content of the type ${part.type}`)
  const url = textIn(looseOf(part['image_url'])['url']) ?? ''
  const embedded = dataUrl(url)
  if (!embedded && url.startsWith('https://')) return { type: 'image', source: { type: 'url', url } }
  if (!embedded || !isImage(embedded.mediaType)) return cannot(name, 'images other than JPEG, PNG, GIF and WebP')
  return { type: 'image', source: { type: 'base64', media_type: embedded.mediaType, data: embedded.data } }
}

const blocksOf = (message: Exclude<ChatMessage, { role: 'system' | 'developer' }>): ContentBlockParam[] => {
  const { content } = message
  if (message.role === 'tool')
    return [{ type: 'tool_result', tool_use_id: message.tool_call_id, content: textOf(content) }]
  if (message.role === 'user')
    return typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []).map(userBlock)
  const text = textOf(content)
  return [
    // the API refuses empty text
    ...(text === '' ? [] : [{ type: 'text' as const, text }]),
    ...(message.tool_calls ?? []).map(({ id, function: called }) => ({
      type: 'tool_use' as const,
      id,
      name: called.name,
      input: argumentsOf(called.name, called.arguments),
    })),
  ]
}

/** System messages go to the top; neighbours of one role become one message, as tools' results must. */
const conversationOf = (messages: readonly ChatMessage[]): Pick<Params, 'messages' | 'system'> => {
  const system: TextBlockParam[] = []
  const conversation: (MessageParam & { content: ContentBlockParam[] })[] = []
  for (const message of messages) {
    if (message.role === 'system' || message.role === 'developer') {
      const text = textOf(message.content)
      if (text !== '') system.push({ type: 'text', text })
      continue
    }
    const role = message.role === 'assistant' ? 'assistant' : 'user'
    const blocks = blocksOf(message)
    if (blocks.length === 0) continue
    const last = conversation.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else conversation.push({ role, content: blocks })
  }
  if (conversation.length === 0) cannot(name, 'a conversation without a message that is not a system message')
  return { messages: conversation, ...(system.length > 0 && { system }) }
}

const toolChoiceOf = ({
  tool_choice: choice,
  parallel_tool_calls: parallel,
  tools,
}: ChatRequest): ToolChoice | undefined => {
  if (!tools || tools.length === 0) return undefined
  if (choice === 'none') return { type: 'none' }
  const oneAtATime = parallel === false ? { disable_parallel_tool_use: true } : {}
  if (choice === 'required') return { type: 'any', ...oneAtATime }
  if (typeof choice === 'object' && choice !== null) return { type: 'tool', name: choice.function.name, ...oneAtATime }
  return parallel === false || choice === 'auto' ? { type: 'auto', ...oneAtATime } : undefined
}

const outputConfigOf = ({ response_format: format }: ChatRequest): Pick<Params, 'output_config'> => {
  if (!format || format.type === 'text') return {}
  if (format.type !== 'json_schema') cannot(name, `the response format ${format.type}; use json_schema`)
  const schema = looseOf(looseOf(format['json_schema'])['schema'])
  return { output_config: { format: { type: 'json_schema', schema } } }
}

const paramsOf = (request: ChatRequest, model: string, stream: boolean): Params => {
  refuseForeign(name, request)
  if (request.presence_penalty || request.frequency_penalty) cannot(name, 'penalties')
  const { temperature, top_p: topP, tools, user } = request
  const stops = stopsOf(request.stop)
  const choice = toolChoiceOf(request)
  return {
    model,
    max_tokens: outputLimitOf(request) ?? defaultMaxTokens,
    ...conversationOf(request.messages),
    ...(tools &&
      tools.length > 0 && {
        tools: tools.map(({ function: tool }) => ({
          name: tool.name,
          ...(tool.description && { description: tool.description }),
          input_schema: { ...(tool.parameters ?? {}), type: 'object' as const },
        })),
      }),
    ...(choice && { tool_choice: choice }),
    ...outputConfigOf(request),
    ...(stops && stops.length > 0 && { stop_sequences: stops }),
    // OpenAI's scale goes to 2, this one to 1
    ...(typeof temperature === 'number' && { temperature: Math.min(1, temperature) }),
    ...(typeof topP === 'number' && { top_p: topP }),
    ...(user && { metadata: { user_id: user } }),
    ...(stream && { stream: true }),
  }
}

const completion = (answer: unknown, model: string, nowSeconds: number): ChatCompletion => {
  const body = looseOf(answer)
  if (body['type'] === 'error') throw refusalIn(body['error'])
  if (!Array.isArray(body['content'])) malformed('it has no content')
  let text: string | null = null
  const calls: ToolCall[] = []
  for (const block of listOf(body['content'])) {
    if (block['type'] === 'text') text = (text ?? '') + (textIn(block['text']) ?? '')
    if (block['type'] === 'tool_use') {
      const id = textIn(block['id'])
      const called = textIn(block['name'])
      if (!id || !called) return malformed('a tool call has no name')
      const input = JSON.stringify(block['input'] ?? {})
      calls.push({ id, type: 'function', function: { name: called, arguments: input } })
    }
  }
  return {
    id: textIn(body['id']) ?? '',
    object: 'chat.completion',
    created: nowSeconds,
    model: textIn(body['model']) ?? model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, ...(calls.length > 0 && { tool_calls: calls }) },
        finish_reason: finishOf(body['stop_reason']) ?? 'stop',
      },
    ],
    usage: tokensOf(looseOf(body['usage'])),
  }
}

export const anthropic: Dialect = {
  name: 'anthropic',
  auth: (apiKey) => ({ 'x-api-key': apiKey }),
  headers: { 'anthropic-version': '2023-06-01' },
  idempotencyKeys: false,
  chat: (request, model, stream) => ({ path: '/v1/messages', body: paramsOf(request, model, stream) }),
  completion: (answer, model, minting) => completion(answer, model, minting.nowSeconds()),
  stream: anthropicStream,
  embeddings: () => cannot(name, 'embeddings: it has none'),
  embedded: () => cannot(name, 'embeddings: it has none'),
}
