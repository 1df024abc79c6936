import type { JsonValue } from '@omium/schemas'
import { OmiumError, refusalIn } from '@omium/schemas'
import {
  type ChatChunk,
  type ChatCompletion,
  type ChatMessage,
  type ChatRequest,
  type ContentPart,
  type EmbeddingsRequest,
  type FinishReason,
  outputLimitOf,
  type ToolCall,
  textOf,
  usageOf,
} from '../wire/chat.ts'
import {
  argumentsOf,
  cannot,
  countIn,
  type Dialect,
  dataUrl,
  type Loose,
  listOf,
  looseOf,
  type Minting,
  malformed,
  refuseForeign,
  type StreamReader,
  stopsOf,
  textIn,
} from './dialect.ts'

/**
 * Gemini's generateContent. Thought signatures, which it wants to see again with a function call, ride in the call's
 * `extra_content.google.thought_signature`, where Google's own OpenAI-compatible endpoint has them. Thoughts themselves are
 * left out of answers, and counted as output.
 */
const name = 'Gemini'

interface Part {
  text?: string
  inlineData?: { mimeType: string; data: string }
  fileData?: { fileUri: string }
  functionCall?: { name: string; args: Record<string, unknown> }
  functionResponse?: { name: string; response: Record<string, unknown> }
  thoughtSignature?: string
}
interface Content {
  role: 'user' | 'model'
  parts: Part[]
}

const userPart = (part: ContentPart): Part => {
  if (part.type === 'text') return { text: String(part['text'] ?? '') }
  if (part.type === 'input_audio') {
    const audio = looseOf(part['input_audio'])
    return { inlineData: { mimeType: `audio/${textIn(audio['format']) ?? 'wav'}`, data: textIn(audio['data']) ?? '' } }
  }
  if (part.type !== 'image_url') return cannot(name, `content of the type ${part.type}`)
  const url = textIn(looseOf(part['image_url'])['url']) ?? ''
  const embedded = dataUrl(url)
  if (embedded) return { inlineData: { mimeType: embedded.mediaType, data: embedded.data } }
  return url.startsWith('https://') ? { fileData: { fileUri: url } } : cannot(name, 'an image without data')
}

/** A tool's answer is an object here: text that is none goes under `result`. */
const responseOf = (text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
    return { result: value }
  } catch {
    return { result: text }
  }
}

const partsOf = (
  message: Exclude<ChatMessage, { role: 'system' | 'developer' }>,
  names: Map<string, string>,
): Part[] => {
  const { content } = message
  if (message.role === 'tool') {
    const called =
      names.get(message.tool_call_id) ?? cannot(name, `the result of a call ${message.tool_call_id} that nobody made`)
    return [{ functionResponse: { name: called, response: responseOf(textOf(content)) } }]
  }
  if (message.role === 'user') return typeof content === 'string' ? [{ text: content }] : (content ?? []).map(userPart)
  const text = textOf(content)
  return [
    ...(text === '' ? [] : [{ text }]),
    ...(message.tool_calls ?? []).map((call): Part => {
      names.set(call.id, call.function.name)
      const signature = textIn(looseOf(looseOf(call['extra_content'])['google'])['thought_signature'])
      return {
        functionCall: {
          name: call.function.name,
          args: argumentsOf(call.function.name, call.function.arguments),
        },
        ...(signature && { thoughtSignature: signature }),
      }
    }),
  ]
}

const contentsOf = (messages: readonly ChatMessage[]) => {
  const system: Part[] = []
  const contents: Content[] = []
  const names = new Map<string, string>()
  for (const message of messages) {
    if (message.role === 'system' || message.role === 'developer') {
      const text = textOf(message.content)
      if (text !== '') system.push({ text })
      continue
    }
    const role = message.role === 'assistant' ? 'model' : 'user'
    const parts = partsOf(message, names)
    if (parts.length === 0) continue
    const last = contents.at(-1)
    if (last?.role === role) last.parts.push(...parts)
    else contents.push({ role, parts })
  }
  if (contents.length === 0) cannot(name, 'a conversation without a message that is not a system message')
  return { contents, ...(system.length > 0 && { systemInstruction: { parts: system } }) }
}

const toolConfigOf = ({ tool_choice: choice }: ChatRequest) => {
  if (!choice) return {}
  const config =
    typeof choice === 'object'
      ? { mode: 'ANY', allowedFunctionNames: [choice.function.name] }
      : { mode: { none: 'NONE', auto: 'AUTO', required: 'ANY' }[choice] }
  return { toolConfig: { functionCallingConfig: config } }
}

const formatOf = ({ response_format: format }: ChatRequest) => {
  if (!format || format.type === 'text') return {}
  if (format.type === 'json_object') return { responseMimeType: 'application/json' }
  if (format.type !== 'json_schema') return cannot(name, `the response format ${format.type}`)
  const responseJsonSchema = looseOf(looseOf(format['json_schema'])['schema'])
  return { responseMimeType: 'application/json', responseJsonSchema }
}

const generationOf = (request: ChatRequest) => {
  const stops = stopsOf(request.stop)
  const given = {
    temperature: request.temperature,
    topP: request.top_p,
    maxOutputTokens: outputLimitOf(request),
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    seed: request.seed,
    stopSequences: stops && stops.length > 0 ? stops : undefined,
  }
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null))
  return { ...known, ...formatOf(request) }
}

const bodyOf = (request: ChatRequest): object => {
  refuseForeign(name, request)
  if (request.parallel_tool_calls === false) cannot(name, 'parallel_tool_calls: false')
  const { tools } = request
  const generationConfig = generationOf(request)
  return {
    ...contentsOf(request.messages),
    ...(tools &&
      tools.length > 0 && {
        tools: [
          {
            functionDeclarations: tools.map(({ function: tool }) => ({
              name: tool.name,
              ...(tool.description && { description: tool.description }),
              ...(tool.parameters && { parametersJsonSchema: tool.parameters }),
            })),
          },
        ],
        ...toolConfigOf(request),
      }),
    ...(Object.keys(generationConfig).length > 0 && { generationConfig }),
  }
}

const finishReasons: Readonly<Record<string, FinishReason>> = {
  STOP: 'stop',
  MAX_TOKENS: 'length',
  SAFETY: 'content_filter',
  RECITATION: 'content_filter',
  BLOCKLIST: 'content_filter',
  PROHIBITED_CONTENT: 'content_filter',
  SPII: 'content_filter',
  IMAGE_SAFETY: 'content_filter',
}

const finishOf = (reason: unknown, calls: number): FinishReason | null => {
  if (typeof reason !== 'string') return null
  if (reason === 'MALFORMED_FUNCTION_CALL' || reason === 'UNEXPECTED_TOOL_CALL')
    return malformed(`the model made a tool call that cannot be read (${reason})`)
  const finish = finishReasons[reason] ?? 'stop'
  return finish === 'stop' && calls > 0 ? 'tool_calls' : finish
}

const tokensOf = (usage: Loose) =>
  usageOf(
    countIn(usage['promptTokenCount']) + countIn(usage['toolUsePromptTokenCount']),
    countIn(usage['candidatesTokenCount']) + countIn(usage['thoughtsTokenCount']),
    countIn(usage['cachedContentTokenCount']),
  )

/** @throws OmiumError `model_content_filter` when the prompt was blocked */
const candidateOf = (body: Loose): Loose | undefined => {
  if (body['error']) throw refusalIn(body['error'])
  const [candidate] = listOf(body['candidates'])
  const blocked = textIn(looseOf(body['promptFeedback'])['blockReason'])
  if (!candidate && blocked)
    throw new OmiumError('model_content_filter', `the model provider blocked the prompt: ${blocked}`)
  return candidate
}

const callOf = (part: Loose, minting: Minting): ToolCall | undefined => {
  if (part['functionCall'] === undefined) return undefined
  const called = looseOf(part['functionCall'])
  const signature = textIn(part['thoughtSignature'])
  return {
    id: textIn(called['id']) ?? minting.id('call'),
    type: 'function',
    function: {
      name: textIn(called['name']) ?? malformed('a tool call has no name'),
      arguments: JSON.stringify(called['args'] ?? {}),
    },
    ...(signature && { extra_content: { google: { thought_signature: signature } } as JsonValue }),
  }
}

/** Text and calls of a candidate's parts. */
const partsIn = (candidate: Loose, minting: Minting) => {
  let text: string | null = null
  const calls: ToolCall[] = []
  for (const part of listOf(looseOf(candidate['content'])['parts'])) {
    const call = callOf(part, minting)
    if (call) calls.push(call)
    else if (typeof part['text'] === 'string' && part['thought'] !== true) text = (text ?? '') + part['text']
  }
  return { text, calls }
}

const completion = (answer: unknown, model: string, minting: Minting): ChatCompletion => {
  const body = looseOf(answer)
  const candidate = candidateOf(body) ?? malformed('it has no candidate')
  const { text, calls } = partsIn(candidate, minting)
  return {
    id: textIn(body['responseId']) ?? minting.id('chatcmpl'),
    object: 'chat.completion',
    created: minting.nowSeconds(),
    model: textIn(body['modelVersion']) ?? model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, ...(calls.length > 0 && { tool_calls: calls }) },
        finish_reason: finishOf(candidate['finishReason'], calls.length) ?? 'stop',
      },
    ],
    usage: tokensOf(looseOf(body['usageMetadata'])),
  }
}

/** Each event is a whole response with what is new; the last one has the reason for the end. */
const stream = (asked: string, minting: Minting): StreamReader => {
  let base: Omit<ChatChunk, 'choices' | 'usage'> | undefined
  let callCount = 0
  let finished = false
  let usage: Loose = {}
  return {
    // the stream has no end of its own: usage may come with or after the finishing event
    done: false,
    read({ data }) {
      const body = looseOf(JSON.parse(data))
      const candidate = candidateOf(body)
      base ??= {
        id: textIn(body['responseId']) ?? minting.id('chatcmpl'),
        object: 'chat.completion.chunk',
        created: minting.nowSeconds(),
        model: textIn(body['modelVersion']) ?? asked,
      }
      usage = { ...usage, ...looseOf(body['usageMetadata']) }
      if (!candidate) return []
      const { text, calls } = partsIn(candidate, minting)
      const first = callCount
      callCount += calls.length
      const finish = finishOf(candidate['finishReason'], callCount)
      if (finish) finished = true
      const said = text !== null || calls.length > 0
      const delta = {
        ...(text !== null && { content: text }),
        ...(calls.length > 0 && { tool_calls: calls.map((call, index) => ({ index: first + index, ...call })) }),
      }
      const chunks: ChatChunk[] = []
      if (said) chunks.push({ ...base, choices: [{ index: 0, delta, finish_reason: null }] } as ChatChunk)
      if (finish) chunks.push({ ...base, choices: [{ index: 0, delta: {}, finish_reason: finish }] } as ChatChunk)
      return chunks
    },
    end() {
      if (!finished || !base) return malformed('the stream broke off')
      return [{ ...(base as ChatChunk), choices: [], usage: tokensOf(usage) }]
    },
  }
}

const textsOf = ({ input }: EmbeddingsRequest): string[] => {
  if (typeof input === 'string') return [input]
  const texts = input.filter((one): one is string => typeof one === 'string')
  return texts.length === input.length ? texts : cannot(name, 'embeddings of token ids')
}

/** OpenAI's clients ask for the bytes of 32-bit floats, little-endian, unless they are told otherwise. */
const encoded = (values: number[], format: EmbeddingsRequest['encoding_format']): number[] | string => {
  if (format !== 'base64') return values
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeFloatLE(value, index * 4)
  return bytes.toString('base64')
}

export const gemini: Dialect = {
  name: 'gemini',
  auth: (apiKey) => ({ 'x-goog-api-key': apiKey }),
  idempotencyKeys: false,
  chat: (request, model, streamed) => ({
    path: `/models/${encodeURIComponent(model)}:${streamed ? 'streamGenerateContent' : 'generateContent'}`,
    ...(streamed && { query: { alt: 'sse' } }),
    body: bodyOf(request),
  }),
  completion,
  stream,
  embeddings(request, model) {
    const { dimensions } = request
    return {
      path: `/models/${encodeURIComponent(model)}:batchEmbedContents`,
      body: {
        requests: textsOf(request).map((text) => ({
          model: `models/${model}`,
          content: { parts: [{ text }] },
          ...(dimensions && { outputDimensionality: dimensions }),
        })),
      },
    }
  },
  embedded(answer, request, model) {
    const body = looseOf(answer)
    if (body['error']) throw refusalIn(body['error'])
    const embeddings = listOf(body['embeddings'])
    if (embeddings.length === 0) malformed('it has no embedding')
    // this API tells no tokens: four bytes each is what its documentation says they average
    const tokens = Math.ceil(textsOf(request).reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 4)
    return {
      object: 'list',
      model,
      data: embeddings.map(({ values }, index) => ({
        object: 'embedding',
        index,
        embedding: Array.isArray(values)
          ? encoded(values as number[], request.encoding_format)
          : malformed('an embedding has no values'),
      })),
      usage: usageOf(tokens, 0),
    }
  },
}
