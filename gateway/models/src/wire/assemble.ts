import { OmiumError } from '@omium/schemas'
import type { ChatChunk, ChatCompletion, ToolCall } from './chat.ts'

/**
 * Puts the chunks of a stream together to the answer that they add up to.
 * Only the first choice is followed: nobody who streams asks for several.
 */
export class ChunkAssembler {
  #first: ChatChunk | undefined
  #content: string | null = null
  #refusal = ''
  #finish: string | null = null
  #usage: ChatCompletion['usage']
  readonly #calls: ToolCall[] = []

  add(chunk: ChatChunk): void {
    this.#first ??= chunk
    if (chunk.usage) this.#usage = chunk.usage
    const choice = chunk.choices[0]
    if (!choice) return
    this.#finish = choice.finish_reason ?? this.#finish
    if (typeof choice.delta.content === 'string') this.#content = (this.#content ?? '') + choice.delta.content
    if (typeof choice.delta['refusal'] === 'string') this.#refusal += choice.delta['refusal']
    for (const delta of choice.delta.tool_calls ?? []) {
      this.#calls[delta.index] ??= { id: '', type: 'function', function: { name: '', arguments: '' } }
      const call = this.#calls[delta.index] as ToolCall
      if (delta.id) call.id = delta.id
      if (delta.extra_content !== undefined) call.extra_content = delta.extra_content
      call.function.name += delta.function?.name ?? ''
      call.function.arguments += delta.function?.arguments ?? ''
    }
  }

  /** @throws OmiumError `model_malformed` when nothing had come */
  completion(): ChatCompletion {
    if (!this.#first) throw new OmiumError('model_malformed', 'the provider sent a stream without a chunk')
    const { id, created, model } = this.#first
    const calls = this.#calls.filter((call) => call !== undefined)
    return {
      id,
      object: 'chat.completion',
      created,
      model,
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: this.#content,
            ...(this.#refusal && { refusal: this.#refusal }),
            ...(calls.length > 0 && { tool_calls: calls }),
          },
          finish_reason: this.#finish,
        },
      ],
      ...(this.#usage && { usage: this.#usage }),
    }
  }
}

/** A whole answer as the chunks of a stream: what a cached answer looks like to a caller that streams. */
export const chunksOf = ({ id, created, model, choices, usage }: ChatCompletion): ChatChunk[] => {
  const base = { id, object: 'chat.completion.chunk' as const, created, model }
  const chunks: ChatChunk[] = choices.flatMap(({ index, message, finish_reason }) => {
    const { content, refusal, tool_calls: calls } = message
    return [
      {
        ...base,
        choices: [
          {
            index,
            delta: {
              role: 'assistant' as const,
              content,
              ...(refusal && { refusal }),
              ...(calls && { tool_calls: calls.map((call, position) => ({ index: position, ...call })) }),
            },
            finish_reason: null,
          },
        ],
      },
      { ...base, choices: [{ index, delta: {}, finish_reason }] },
    ]
  })
  return usage ? [...chunks, { ...base, choices: [], usage }] : chunks
}
