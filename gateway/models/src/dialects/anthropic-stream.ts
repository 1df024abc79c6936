import { refusalIn } from '@omium/schemas'
import { type ChatChunk, type ChunkDelta, type FinishReason, usageOf, type WireUsage } from '../wire/chat.ts'
import { countIn, type Loose, looseOf, type Minting, malformed, type StreamReader, textIn } from './dialect.ts'

const finishReasons: Readonly<Record<string, FinishReason>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
}
export const finishOf = (reason: unknown): FinishReason | null =>
  typeof reason === 'string' ? (finishReasons[reason] ?? 'stop') : null

/** Tokens of the prompt are told in three parts, OpenAI's count holds them all. */
export const tokensOf = (usage: Loose) => {
  const read = countIn(usage['cache_read_input_tokens'])
  const written = countIn(usage['cache_creation_input_tokens'])
  return usageOf(countIn(usage['input_tokens']) + read + written, countIn(usage['output_tokens']), read, written)
}

/**
 * Anthropic's events as chunks. A message is `message_start`, blocks (start, deltas, stop), `message_delta` with the reason
 * for its end, `message_stop`. Only `message_stop` makes the answer whole. Tool calls are numbered among themselves, blocks
 * are not.
 */
export const anthropicStream = (asked: string, minting: Minting): StreamReader => {
  let id = ''
  let model = asked
  const created = minting.nowSeconds()
  let usage: Loose = {}
  let done = false
  /** number of the tool call in each block that is one */
  const calls = new Map<unknown, number>()

  const chunk = (delta: ChunkDelta, finish: string | null = null): ChatChunk => ({
    id,
    object: 'chat.completion.chunk',
    created,
    model,
    choices: [{ index: 0, delta, finish_reason: finish }],
  })
  const total = (told: WireUsage): ChatChunk => ({ ...chunk({}), choices: [], usage: told })

  const read = (event: Loose): ChatChunk[] => {
    switch (event['type']) {
      case 'message_start': {
        const message = looseOf(event['message'])
        id = textIn(message['id']) ?? id
        model = textIn(message['model']) ?? model
        usage = looseOf(message['usage'])
        return [chunk({ role: 'assistant', content: '' })]
      }
      case 'content_block_start': {
        const block = looseOf(event['content_block'])
        if (block['type'] === 'text') return block['text'] ? [chunk({ content: String(block['text']) })] : []
        if (block['type'] !== 'tool_use') return []
        const index = calls.size
        calls.set(event['index'], index)
        const name = textIn(block['name']) ?? malformed('a tool call has no name')
        const callId = textIn(block['id']) ?? minting.id('call')
        return [chunk({ tool_calls: [{ index, id: callId, type: 'function', function: { name, arguments: '' } }] })]
      }
      case 'content_block_delta': {
        const delta = looseOf(event['delta'])
        if (delta['type'] === 'text_delta') return [chunk({ content: textIn(delta['text']) ?? '' })]
        const index = calls.get(event['index'])
        if (delta['type'] !== 'input_json_delta' || index === undefined) return []
        return [chunk({ tool_calls: [{ index, function: { arguments: textIn(delta['partial_json']) ?? '' } }] })]
      }
      case 'message_delta': {
        usage = { ...usage, ...looseOf(event['usage']) }
        const finish = finishOf(looseOf(event['delta'])['stop_reason'])
        return finish ? [chunk({}, finish)] : []
      }
      case 'message_stop':
        done = true
        return [total(tokensOf(usage))]
      case 'error':
        throw refusalIn(event['error'])
      default:
        return []
    }
  }

  return {
    get done() {
      return done
    },
    read: ({ data }) => read(looseOf(JSON.parse(data))),
    end() {
      if (!done) malformed('the stream broke off')
      return []
    },
  }
}
