import type { JsonValue } from '@omium/schemas'
import type { Minting } from '../dialects/dialect.ts'
import type { ChatChunk, ToolCallDelta, WireUsage } from './chat.ts'
import type { ErrorBody } from './errors.ts'
import type { ResponsesRequest } from './responses.ts'

/**
 * Chunks of a chat completion as the events of a response, and the response that they add up to.
 *
 * A message's text and each call of a function are items; an item is added, grows and is done. A message is done when a call
 * begins, calls when the answer ends: providers may interleave their arguments.
 */
interface Part {
  type: 'output_text' | 'refusal'
  text: string
}
interface MessageItem {
  readonly type: 'message'
  readonly id: string
  readonly parts: Part[]
  done: boolean
}
interface CallItem {
  readonly type: 'function_call'
  readonly id: string
  callId: string
  name: string
  arguments: string
  extra: JsonValue | undefined
  done: boolean
}
type Item = MessageItem | CallItem
type Status = 'in_progress' | 'completed' | 'incomplete'

export interface ResponseEvent {
  readonly type: string
  readonly sequence_number: number
  readonly [more: string]: unknown
}

/** Why an answer is not whole, in the words of this API. */
const incompleteReasons: Readonly<Record<string, string>> = {
  length: 'max_output_tokens',
  content_filter: 'content_filter',
}

export class ResponseEvents {
  readonly #request: ResponsesRequest
  readonly #minting: Minting
  readonly #id: string
  readonly #createdAt: number
  readonly #items: Item[] = []
  /** by their index in the chunks */
  readonly #calls = new Map<number, CallItem>()
  #model: string
  #finish: string | null = null
  #usage: WireUsage | undefined
  #sequence = 0

  constructor(request: ResponsesRequest, minting: Minting) {
    this.#request = request
    this.#minting = minting
    this.#id = minting.id('resp')
    this.#createdAt = minting.nowSeconds()
    this.#model = request.model
  }

  begin(): ResponseEvent[] {
    const response = this.#response('in_progress')
    return [this.#event('response.created', { response }), this.#event('response.in_progress', { response })]
  }

  add({ model, choices, usage }: ChatChunk): ResponseEvent[] {
    this.#model = model
    if (usage) this.#usage = usage
    const events: ResponseEvent[] = []
    for (const { index, delta, finish_reason: finish } of choices) {
      if (index !== 0) continue
      if (delta.content) events.push(...this.#say('output_text', delta.content))
      if (typeof delta['refusal'] === 'string' && delta['refusal'])
        events.push(...this.#say('refusal', delta['refusal']))
      for (const call of delta.tool_calls ?? []) events.push(...this.#call(call))
      this.#finish = finish ?? this.#finish
    }
    return events
  }

  end(): ResponseEvent[] {
    const status = this.#status
    const events = this.#items.flatMap((item) => (item.done ? [] : this.#done(item, this.#statusOf(item, status))))
    return [...events, this.#event(`response.${status}`, { response: this.response() })]
  }

  /** The stream breaks off. Both forms in which clients look for an error are in it. */
  failed({ error }: ErrorBody): ResponseEvent {
    return this.#event('error', { code: error.code, message: error.message, param: null, error })
  }

  response(): Record<string, unknown> {
    return this.#response(this.#status)
  }

  get #status(): Status {
    return incompleteReasons[this.#finish ?? ''] ? 'incomplete' : 'completed'
  }

  /** Only the last item can have been cut off. */
  #statusOf(item: Item, status: Status): Status {
    return item === this.#items.at(-1) ? status : 'completed'
  }

  #event(type: string, more: object): ResponseEvent {
    return { type, sequence_number: this.#sequence++, ...more }
  }

  #say(type: Part['type'], text: string): ResponseEvent[] {
    const events: ResponseEvent[] = []
    let message = this.#items.at(-1)
    if (message?.type !== 'message' || message.done) {
      message = { type: 'message', id: this.#minting.id('msg'), parts: [], done: false }
      events.push(...this.#begun(message))
    }
    let part = message.parts.at(-1)
    if (part?.type !== type) {
      if (part) events.push(...this.#partDone(message, message.parts.length - 1))
      part = { type, text: '' }
      message.parts.push(part)
      const place = this.#partPlace(message, message.parts.length - 1)
      events.push(this.#event('response.content_part.added', { ...place, part: partView(part) }))
    }
    part.text += text
    const place = this.#partPlace(message, message.parts.length - 1)
    const more = type === 'output_text' ? { delta: text, logprobs: [] } : { delta: text }
    return [...events, this.#event(`response.${type}.delta`, { ...place, ...more })]
  }

  #call({ index, id, function: called, extra_content: extra }: ToolCallDelta): ResponseEvent[] {
    const events: ResponseEvent[] = []
    let call = this.#calls.get(index)
    if (!call) {
      const last = this.#items.at(-1)
      if (last?.type === 'message' && !last.done) events.push(...this.#done(last, 'completed'))
      const callId = id ?? this.#minting.id('call')
      const name = called?.name ?? ''
      call = { type: 'function_call', id: this.#minting.id('fc'), callId, name, arguments: '', extra, done: false }
      this.#calls.set(index, call)
      events.push(...this.#begun(call))
    } else {
      if (id) call.callId = id
      call.name += called?.name ?? ''
      call.extra = extra ?? call.extra
    }
    const delta = called?.arguments
    if (!delta) return events
    call.arguments += delta
    const type = 'response.function_call_arguments.delta'
    return [...events, this.#event(type, { ...this.#place(call), delta })]
  }

  #begun(item: Item): ResponseEvent[] {
    this.#items.push(item)
    const { output_index } = this.#place(item)
    return [this.#event('response.output_item.added', { output_index, item: itemView(item, 'in_progress') })]
  }

  #done(item: Item, status: Status): ResponseEvent[] {
    item.done = true
    const place = this.#place(item)
    const last =
      item.type === 'message'
        ? this.#partDone(item, item.parts.length - 1)
        : [
            this.#event('response.function_call_arguments.done', {
              ...place,
              name: item.name,
              arguments: item.arguments,
            }),
          ]
    const { output_index } = place
    return [...last, this.#event('response.output_item.done', { output_index, item: itemView(item, status) })]
  }

  #partDone(message: MessageItem, index: number): ResponseEvent[] {
    const part = message.parts[index] as Part
    const place = this.#partPlace(message, index)
    const more = part.type === 'output_text' ? { text: part.text, logprobs: [] } : { refusal: part.text }
    return [
      this.#event(`response.${part.type}.done`, { ...place, ...more }),
      this.#event('response.content_part.done', { ...place, part: partView(part) }),
    ]
  }

  #place(item: Item): { item_id: string; output_index: number } {
    return { item_id: item.id, output_index: this.#items.indexOf(item) }
  }

  #partPlace(message: MessageItem, index: number): object {
    return { ...this.#place(message), content_index: index }
  }

  #response(status: Status): Record<string, unknown> {
    const asked = this.#request
    const reason = status === 'incomplete' ? incompleteReasons[this.#finish ?? ''] : undefined
    return {
      id: this.#id,
      object: 'response',
      created_at: this.#createdAt,
      status,
      background: false,
      error: null,
      incomplete_details: reason ? { reason } : null,
      instructions: asked.instructions ?? null,
      max_output_tokens: asked.max_output_tokens ?? null,
      metadata: asked.metadata ?? {},
      model: this.#model,
      output: this.#items.map((item) => itemView(item, this.#statusOf(item, status))),
      parallel_tool_calls: asked.parallel_tool_calls ?? true,
      previous_response_id: null,
      reasoning: { effort: asked.reasoning?.effort ?? null, summary: null },
      store: false,
      temperature: asked.temperature ?? null,
      text: { format: { type: 'text' }, ...asked.text },
      tool_choice: asked.tool_choice ?? 'auto',
      tools: asked.tools ?? [],
      top_p: asked.top_p ?? null,
      truncation: 'disabled',
      usage: this.#usage ? usageView(this.#usage) : null,
      ...(asked.user && { user: asked.user }),
    }
  }
}

const partView = ({ type, text }: Part): object =>
  type === 'output_text' ? { type, text, annotations: [], logprobs: [] } : { type, refusal: text }

const itemView = (item: Item, status: Status): object =>
  item.type === 'message'
    ? { type: item.type, id: item.id, status, role: 'assistant', content: item.parts.map(partView) }
    : {
        type: item.type,
        id: item.id,
        call_id: item.callId,
        name: item.name,
        arguments: item.arguments,
        status,
        ...(item.extra !== undefined && { extra_content: item.extra }),
      }

const usageView = (usage: WireUsage): object => {
  const { prompt_tokens_details: input, omium_cost_micro_credits: cost } = usage
  const output = usage['completion_tokens_details'] as { reasoning_tokens?: number } | null | undefined
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: {
      cached_tokens: input?.cached_tokens ?? 0,
      cache_write_tokens: input?.cache_write_tokens ?? 0,
    },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: output?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens,
    ...(cost !== undefined && { omium_cost_micro_credits: cost }),
  }
}
