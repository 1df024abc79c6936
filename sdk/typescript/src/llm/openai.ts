import { type ErrorCode, errorCatalogue, hashJson, OmiumError, refusalIn, refusalOf } from '@omium/schemas'
import { createParser } from 'eventsource-parser'
import type { ChatRequest, Complete, Completion, ToolCall } from './model.ts'

export interface OpenAiSettings {
  /** up to and without `/chat/completions` */
  baseUrl: string
  apiKey: string | undefined
  fetch?: typeof fetch
}

interface WireMessage {
  content?: string | null
  tool_calls?: ToolCall[]
}
interface WireUsage {
  prompt_tokens?: number
  completion_tokens?: number
  omium_cost_micro_credits?: number
}
interface WireToolDelta {
  index?: number
  id?: string
  function?: { name?: string; arguments?: string }
}
interface WireChunk {
  model?: string
  choices?: {
    message?: WireMessage
    delta?: { content?: string | null; tool_calls?: WireToolDelta[] }
    finish_reason?: string | null
  }[]
  usage?: WireUsage | null
  error?: { message?: string; code?: string | null; type?: string; retryable?: boolean }
}

/** Omium's model gateway says what went wrong in codes of the catalogue: they need no guessing. */
const plainCodes: readonly ErrorCode[] = [
  'invalid_request',
  'payload_too_large',
  'unauthenticated',
  'forbidden',
  'policy_denied',
  'not_found',
  'rate_limited',
  'budget_exceeded',
]
const isOurs = (code: unknown): code is ErrorCode =>
  typeof code === 'string' &&
  Object.hasOwn(errorCatalogue, code) &&
  (code.startsWith('model_') || (plainCodes as readonly string[]).includes(code))

/** of one answer, with all that a stream adds to it: more could not be recorded */
const answerLimitMib = 10

/** The bytes of an answer, as long as it is one that can be recorded. @throws OmiumError `model_malformed` */
const bounded = async function* (body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  let size = 0
  for await (const bytes of body ?? []) {
    size += bytes.byteLength
    if (size > answerLimitMib * 1024 * 1024) {
      const detail = `the model provider sent more than ${answerLimitMib} MiB as one answer: set max_tokens, or give the model an end`
      throw new OmiumError('model_malformed', detail, { retryable: false })
    }
    yield bytes
  }
}

const textOf = async ({ body }: Response): Promise<string> => {
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of bounded(body)) text += decoder.decode(bytes, { stream: true })
  return text + decoder.decode()
}

/** What the gateway says is taken at its word; a provider's own words are read. */
const refusal = async (response: Response): Promise<OmiumError> => {
  const { status } = response
  const body = await textOf(response).catch(() => '')
  const told = refusalOf({ status, headers: Object.fromEntries(response.headers), body }, Date.now())
  let said: WireChunk['error']
  try {
    said = (JSON.parse(body) as WireChunk).error
  } catch {
    // not JSON: no gateway's
  }
  const code = said?.code ?? said?.type
  if (!isOurs(code)) return told
  const { retryable, message = told.message } = said ?? {}
  return new OmiumError(code, message, {
    ...(told.data !== undefined && { data: told.data }),
    ...(retryable !== undefined && { retryable }),
  })
}

const completionOf = (chunk: WireChunk, request: ChatRequest): Completion => {
  const choice = chunk.choices?.[0]
  if (!choice?.message) throw new OmiumError('model_malformed', 'the model provider sent an answer without a message')
  const { content = null, tool_calls: toolCalls } = choice.message
  if (choice.finish_reason === 'content_filter')
    throw new OmiumError('model_content_filter', `${request.model} filtered its answer`)
  return {
    message: { role: 'assistant', content, ...(toolCalls && toolCalls.length > 0 && { tool_calls: toolCalls }) },
    finishReason: choice.finish_reason ?? 'stop',
    model: chunk.model ?? request.model,
    ...(chunk.usage?.prompt_tokens !== undefined && { inputTokens: chunk.usage.prompt_tokens }),
    ...(chunk.usage?.completion_tokens !== undefined && { outputTokens: chunk.usage.completion_tokens }),
    ...(chunk.usage?.omium_cost_micro_credits !== undefined && {
      costMicroCredits: chunk.usage.omium_cost_micro_credits,
    }),
  }
}

/** Puts a streamed answer together and passes its text on as it comes. */
const readStream = async (
  body: ReadableStream<Uint8Array>,
  request: ChatRequest,
  onDelta: (text: string) => void,
): Promise<Completion> => {
  const whole: WireChunk = {}
  let content: string | null = null
  let finishReason: string | null | undefined
  const toolCalls: ToolCall[] = []
  let done = false
  const parser = createParser({
    onEvent({ data }) {
      if (data === '[DONE]') {
        done = true
        return
      }
      const chunk = JSON.parse(data) as WireChunk
      if (chunk.error) {
        const { code, message } = chunk.error
        throw isOurs(code) ? new OmiumError(code, `the model provider broke off: ${message}`) : refusalIn(chunk.error)
      }
      if (chunk.model) whole.model = chunk.model
      if (chunk.usage) whole.usage = chunk.usage
      const choice = chunk.choices?.[0]
      if (!choice) return
      finishReason = choice.finish_reason ?? finishReason
      if (choice.delta?.content) {
        content = (content ?? '') + choice.delta.content
        onDelta(choice.delta.content)
      }
      for (const delta of choice.delta?.tool_calls ?? []) {
        const index = delta.index ?? 0
        toolCalls[index] ??= { id: '', type: 'function', function: { name: '', arguments: '' } }
        const call = toolCalls[index]
        if (delta.id) call.id = delta.id
        call.function.name += delta.function?.name ?? ''
        call.function.arguments += delta.function?.arguments ?? ''
      }
    },
  })
  const decoder = new TextDecoder()
  for await (const bytes of bounded(body)) parser.feed(decoder.decode(bytes, { stream: true }))
  if (!done && !finishReason) throw new OmiumError('model_malformed', 'the stream of the model provider broke off')
  return completionOf(
    { ...whole, choices: [{ message: { content, tool_calls: toolCalls }, finish_reason: finishReason ?? null }] },
    request,
  )
}

/** As a header: what a header cannot carry goes as its hash. */
const headerKey = (key: string): string => (/^[\x21-\x7e]{1,255}$/.test(key) ? key : hashJson(key))

/** Chat completions of any OpenAI-compatible endpoint. Retries are the step's, not this client's. */
export const openAiCompatible = (settings: OpenAiSettings): Complete => {
  const url = `${settings.baseUrl.replace(/\/+$/, '')}/chat/completions`
  const send = settings.fetch ?? fetch
  return async (request, { signal, onDelta, idempotencyKey }) => {
    const body = onDelta ? { ...request, stream: true, stream_options: { include_usage: true } } : request
    let response: Response
    try {
      response = await send(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(settings.apiKey && { authorization: `Bearer ${settings.apiKey}` }),
          ...(idempotencyKey !== undefined && { 'idempotency-key': headerKey(idempotencyKey) }),
        },
        body: JSON.stringify(body),
        signal,
      })
    } catch (cause) {
      throw new OmiumError('model_overloaded', `the model provider at ${new URL(url).host} cannot be reached`, {
        cause,
      })
    }
    if (!response.ok) throw await refusal(response)
    try {
      if (onDelta && response.body && /event-stream/.test(response.headers.get('content-type') ?? ''))
        return await readStream(response.body, request, onDelta)
      const completion = completionOf(JSON.parse(await textOf(response)) as WireChunk, request)
      if (onDelta && completion.message.content) onDelta(completion.message.content)
      return completion
    } catch (cause) {
      if (cause instanceof OmiumError) throw cause
      throw new OmiumError('model_malformed', 'the answer of the model provider cannot be read', { cause })
    }
  }
}
