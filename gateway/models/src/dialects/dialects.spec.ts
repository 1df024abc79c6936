import { describe, expect, it } from 'vitest'
import { ChunkAssembler, chunksOf } from '../wire/assemble.ts'
import { type ChatRequest, chatRequest } from '../wire/chat.ts'
import { anthropic } from './anthropic.ts'
import type { Dialect, Minting } from './dialect.ts'
import { gemini } from './gemini.ts'
import { azure, openai } from './openai.ts'

let minted = 0
const minting: Minting = { id: (prefix) => `${prefix}_${++minted}`, nowSeconds: () => 1_700_000_000 }
const png = 'iVBORw0KGgo='
const ask = (more: Partial<ChatRequest> = {}): ChatRequest =>
  chatRequest.parse({ model: 'asked', messages: [{ role: 'user', content: 'Hi' }], ...more })
const bodyFor = (dialect: Dialect, request: ChatRequest, stream = false) => dialect.chat(request, 'theirs', stream).body

/** A conversation with everything in it: two calls at once, their results, an image. */
const conversation = ask({
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'developer', content: 'Use metric units.' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'What is this, and is it warm?' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
      ],
    },
    {
      role: 'assistant',
      content: 'Let me look.',
      tool_calls: [
        { id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
        { id: 'c2', type: 'function', function: { name: 'clock', arguments: '' } },
      ],
    },
    { role: 'tool', tool_call_id: 'c1', content: '{"celsius":3}' },
    { role: 'tool', tool_call_id: 'c2', content: 'noon' },
  ],
  tools: [
    {
      type: 'function',
      function: {
        name: 'weather',
        description: 'tells it',
        parameters: { type: 'object', properties: { city: { type: 'string' } } },
      },
    },
  ],
  tool_choice: 'required',
  max_completion_tokens: 50,
  temperature: 0.5,
  stop: 'END',
  user: 'u1',
})

const weather = { city: { type: 'string' } }

describe("Anthropic's dialect", () => {
  it('asks with the conversation in its own order', () => {
    expect(bodyFor(anthropic, conversation)).toEqual({
      model: 'theirs',
      max_tokens: 50,
      system: [
        { type: 'text', text: 'Be brief.' },
        { type: 'text', text: 'Use metric units.' },
      ],
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is this, and is it warm?' },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'Let me look.' },
            { type: 'tool_use', id: 'c1', name: 'weather', input: { city: 'Oslo' } },
            { type: 'tool_use', id: 'c2', name: 'clock', input: {} },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'c1', content: '{"celsius":3}' },
            { type: 'tool_result', tool_use_id: 'c2', content: 'noon' },
          ],
        },
      ],
      tools: [{ name: 'weather', description: 'tells it', input_schema: { type: 'object', properties: weather } }],
      tool_choice: { type: 'any' },
      stop_sequences: ['END'],
      temperature: 0.5,
      metadata: { user_id: 'u1' },
    })
  })

  it('reads text, calls and tokens, those of its cache included', () => {
    const answer = {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-x',
      content: [
        { type: 'thinking', thinking: 'hm', signature: 's' },
        { type: 'text', text: 'Cold.' },
        { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Oslo' } },
      ],
      stop_reason: 'tool_use',
      usage: { input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 100, cache_creation_input_tokens: 20 },
    }
    expect(anthropic.completion(answer, 'theirs', minting)).toEqual({
      id: 'msg_1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'claude-x',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'Cold.',
            tool_calls: [
              { id: 'toolu_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
            ],
          },
          finish_reason: 'tool_calls',
        },
      ],
      usage: {
        prompt_tokens: 130,
        completion_tokens: 5,
        total_tokens: 135,
        prompt_tokens_details: { cached_tokens: 100, cache_write_tokens: 20 },
      },
    })
  })

  it.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['refusal', 'content_filter'],
    ['something_new', 'stop'],
  ])('ends for %s as %s', (reason, finish) => {
    const answer = { content: [{ type: 'text', text: 'x' }], stop_reason: reason, usage: {} }
    expect(anthropic.completion(answer, 'theirs', minting).choices[0]?.finish_reason).toBe(finish)
  })

  it('streams text and calls', () => {
    const events = [
      {
        type: 'message_start',
        message: { id: 'msg_2', model: 'claude-x', usage: { input_tokens: 7, output_tokens: 1 } },
      },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'ping' },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Co' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'ld' } },
      { type: 'content_block_stop', index: 0 },
      {
        type: 'content_block_start',
        index: 1,
        content_block: { type: 'tool_use', id: 'toolu_2', name: 'clock', input: {} },
      },
      { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '{"zone":' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '"UTC"}' } },
      { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 9 } },
      { type: 'message_stop' },
    ]
    expect(assembled(anthropic, events)).toMatchObject({
      id: 'msg_2',
      model: 'claude-x',
      choices: [
        {
          message: {
            content: 'Cold',
            tool_calls: [{ id: 'toolu_2', type: 'function', function: { name: 'clock', arguments: '{"zone":"UTC"}' } }],
          },
          finish_reason: 'tool_calls',
        },
      ],
      usage: { prompt_tokens: 7, completion_tokens: 9, total_tokens: 16 },
    })
  })

  it('breaks off with what the provider says', () => {
    const events = [{ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }]
    expect(() => assembled(anthropic, events)).toThrow(expect.objectContaining({ code: 'model_overloaded' }))
  })

  it('forces one named tool, one at a time', () => {
    const named = { type: 'function' as const, function: { name: 'weather' } }
    const request = { ...conversation, tool_choice: named, parallel_tool_calls: false }
    expect(bodyFor(anthropic, request)).toMatchObject({
      tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true },
    })
  })

  it('asks for an answer that fits a schema', () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } }
    const request = ask({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } })
    expect(bodyFor(anthropic, request)).toMatchObject({ output_config: { format: { type: 'json_schema', schema } } })
  })
})

describe("Gemini's dialect", () => {
  it('asks with the conversation in its own order', () => {
    expect(gemini.chat(conversation, 'gemini-x', true)).toEqual({
      path: '/models/gemini-x:streamGenerateContent',
      query: { alt: 'sse' },
      body: {
        systemInstruction: { parts: [{ text: 'Be brief.' }, { text: 'Use metric units.' }] },
        contents: [
          {
            role: 'user',
            parts: [{ text: 'What is this, and is it warm?' }, { inlineData: { mimeType: 'image/png', data: png } }],
          },
          {
            role: 'model',
            parts: [
              { text: 'Let me look.' },
              { functionCall: { name: 'weather', args: { city: 'Oslo' } } },
              { functionCall: { name: 'clock', args: {} } },
            ],
          },
          {
            role: 'user',
            parts: [
              { functionResponse: { name: 'weather', response: { celsius: 3 } } },
              { functionResponse: { name: 'clock', response: { result: 'noon' } } },
            ],
          },
        ],
        tools: [
          {
            functionDeclarations: [
              {
                name: 'weather',
                description: 'tells it',
                parametersJsonSchema: { type: 'object', properties: weather },
              },
            ],
          },
        ],
        toolConfig: { functionCallingConfig: { mode: 'ANY' } },
        generationConfig: { temperature: 0.5, maxOutputTokens: 50, stopSequences: ['END'] },
      },
    })
  })

  const answer = {
    responseId: 'r1',
    modelVersion: 'gemini-x-001',
    candidates: [
      {
        content: {
          role: 'model',
          parts: [
            { text: 'hm', thought: true },
            { text: 'Cold.' },
            { functionCall: { name: 'clock', args: { zone: 'UTC' } }, thoughtSignature: 'sig' },
          ],
        },
        finishReason: 'STOP',
      },
    ],
    usageMetadata: { promptTokenCount: 12, candidatesTokenCount: 4, thoughtsTokenCount: 6, cachedContentTokenCount: 3 },
  }

  it('reads text, calls and tokens; a call carries its signature there and back', () => {
    const completion = gemini.completion(answer, 'gemini-x', minting)
    expect(completion).toMatchObject({
      id: 'r1',
      model: 'gemini-x-001',
      choices: [
        {
          message: { content: 'Cold.', tool_calls: [{ function: { name: 'clock', arguments: '{"zone":"UTC"}' } }] },
          finish_reason: 'tool_calls',
        },
      ],
      usage: { prompt_tokens: 12, completion_tokens: 10, prompt_tokens_details: { cached_tokens: 3 } },
    })
    const said = completion.choices[0]?.message
    const call = said?.tool_calls?.[0]
    const next = ask({
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: null, tool_calls: [{ ...call! }] },
        { role: 'tool', tool_call_id: call!.id, content: 'noon' },
      ],
    })
    expect(bodyFor(gemini, next)).toMatchObject({
      contents: [
        {},
        { parts: [{ functionCall: { name: 'clock', args: { zone: 'UTC' } }, thoughtSignature: 'sig' }] },
        { parts: [{ functionResponse: { name: 'clock', response: { result: 'noon' } } }] },
      ],
    })
  })

  it('streams parts and counts what came last', () => {
    const part = (parts: unknown[], more: object = {}) => ({
      responseId: 'r2',
      candidates: [{ content: { parts }, ...more }],
    })
    const events = [
      { ...part([{ text: 'Co' }]), usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 1 } },
      part([{ text: 'ld' }]),
      part([{ functionCall: { name: 'a', args: {} } }]),
      {
        ...part([{ functionCall: { name: 'b', args: {} } }], { finishReason: 'STOP' }),
        usageMetadata: { candidatesTokenCount: 8 },
      },
    ]
    const whole = assembled(gemini, events)
    expect(whole.choices[0]?.message.content).toBe('Cold')
    expect(whole.choices[0]?.message.tool_calls?.map((call) => call.function.name)).toEqual(['a', 'b'])
    expect(whole.choices[0]?.finish_reason).toBe('tool_calls')
    expect(whole.usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 8 })
  })

  it.each([
    ['a blocked prompt', { promptFeedback: { blockReason: 'SAFETY' } }, 'model_content_filter'],
    ['a call that cannot be read', { candidates: [{ finishReason: 'MALFORMED_FUNCTION_CALL' }] }, 'model_malformed'],
    ['no candidate', {}, 'model_malformed'],
  ])('tells %s', (_what, body, code) => {
    expect(() => gemini.completion(body, 'gemini-x', minting)).toThrow(expect.objectContaining({ code }))
  })

  it('ends a filtered answer as filtered', () => {
    const body = { candidates: [{ content: { parts: [] }, finishReason: 'SAFETY' }] }
    expect(gemini.completion(body, 'gemini-x', minting).choices[0]?.finish_reason).toBe('content_filter')
  })

  it('embeds', () => {
    const request = { model: 'x', input: ['abcd', 'efgh'] }
    expect(gemini.embeddings(request, 'emb').body).toEqual({
      requests: ['abcd', 'efgh'].map((text) => ({ model: 'models/emb', content: { parts: [{ text }] } })),
    })
    const embedded = gemini.embedded({ embeddings: [{ values: [1] }, { values: [2] }] }, request, 'emb')
    expect(embedded.data.map(({ embedding }) => embedding)).toEqual([[1], [2]])
    expect(embedded.usage.prompt_tokens).toBe(2)
    const bytes = gemini.embedded({ embeddings: [{ values: [0.5] }] }, { ...request, encoding_format: 'base64' }, 'emb')
    expect(Buffer.from(String(bytes.data[0]?.embedding), 'base64').readFloatLE(0)).toBe(0.5)
  })
})

describe("OpenAI's dialect", () => {
  it('passes on what it does not know, and always asks for usage in streams', () => {
    const request = ask({ reasoning_effort: 'low', stream: true, stream_options: { include_usage: false } })
    expect(bodyFor(openai, request, true)).toEqual({
      model: 'theirs',
      messages: [{ role: 'user', content: 'Hi' }],
      reasoning_effort: 'low',
      stream: true,
      stream_options: { include_usage: true },
    })
  })

  it.each([
    ['nothing', {}],
    ['no choice', { choices: [] }],
    ['a choice without a message', { choices: [{}] }],
    ['content that is no text', { choices: [{ message: { content: 5 } }] }],
    ['a call without a name', { choices: [{ message: { tool_calls: [{ function: {} }] } }] }],
    ['a list', []],
    ['null', null],
  ])('cannot read %s', (_what, body) => {
    expect(() => openai.completion(body, 'theirs', minting)).toThrow(
      expect.objectContaining({ code: 'model_malformed' }),
    )
  })

  it('takes an error with the status 200 for what it is', () => {
    const body = { error: { code: 429, message: 'slow down' } }
    expect(() => openai.completion(body, 'x', minting)).toThrow(expect.objectContaining({ code: 'model_rate_limited' }))
  })

  it('says when a stream broke off', () => {
    const reader = openai.stream('x', minting)
    reader.read({ data: JSON.stringify({ choices: [{ index: 0, delta: { content: 'He' } }] }) })
    expect(() => reader.end()).toThrow(expect.objectContaining({ code: 'model_malformed' }))
  })

  it('takes a stream of several answers for whole when each of them has ended', () => {
    const reader = openai.stream('x', minting)
    const say = (index: number, reason: string | null) =>
      reader.read({ data: JSON.stringify({ choices: [{ index, delta: { content: 'x' }, finish_reason: reason }] }) })
    say(0, null)
    say(1, null)
    say(0, 'stop')
    expect(() => reader.end()).toThrow(expect.objectContaining({ code: 'model_malformed' }))
    say(1, 'length')
    expect(reader.end()).toEqual([])
  })

  it("goes to Azure's addresses", () => {
    const request = ask()
    expect(azure('2024-10-21').chat(request, 'dep', false)).toMatchObject({
      path: '/openai/deployments/dep/chat/completions',
      query: { 'api-version': '2024-10-21' },
    })
    expect(azure(undefined).chat(request, 'dep', false).path).toBe('/openai/v1/chat/completions')
    expect(azure(undefined).auth('k')).toEqual({ 'api-key': 'k' })
  })
})

describe('what a provider cannot do', () => {
  const audio = [{ type: 'input_audio', input_audio: { data: '', format: 'wav' } }]
  it.each<[string, Dialect, Partial<ChatRequest>]>([
    ['n', anthropic, { n: 2 }],
    ['logprobs', anthropic, { logprobs: true }],
    ['penalties', anthropic, { presence_penalty: 1 }],
    ['a JSON object without a schema', anthropic, { response_format: { type: 'json_object' } }],
    ['audio', anthropic, { messages: [{ role: 'user', content: audio }] }],
    ['only system messages', anthropic, { messages: [{ role: 'system', content: 'x' }] }],
    ['n', gemini, { n: 2 }],
    ['old functions', gemini, { functions: [] }],
    ['a bias', anthropic, { logit_bias: { 1: 2 } }],
    ['a file', gemini, { messages: [{ role: 'user', content: [{ type: 'file', file: {} }] }] }],
    ['a result of no call', gemini, { messages: [{ role: 'tool', tool_call_id: 'c9', content: 'x' }] }],
    [
      'arguments that are no object',
      gemini,
      {
        messages: [
          { role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '[1' } }] },
        ],
      },
    ],
  ])('is refused: %s', (_what, dialect, more) => {
    expect(() => bodyFor(dialect, ask(more))).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  it('of Anthropic is to embed', () => {
    expect(() => anthropic.embeddings({ model: 'x', input: 'y' }, 'x')).toThrow(/embeddings/)
  })
})

it('an answer taken apart and put together is the same', () => {
  const completion = anthropic.completion(
    {
      id: 'm',
      model: 'x',
      content: [
        { type: 'text', text: 'a' },
        { type: 'tool_use', id: 't', name: 'f', input: { a: 1 } },
      ],
      stop_reason: 'tool_use',
      usage: { input_tokens: 1, output_tokens: 2 },
    },
    'x',
    minting,
  )
  const assembler = new ChunkAssembler()
  for (const chunk of chunksOf(completion)) assembler.add(chunk)
  expect(assembler.completion()).toEqual(completion)
})

const assembled = (dialect: Dialect, events: readonly unknown[]) => {
  const reader = dialect.stream('theirs', minting)
  const assembler = new ChunkAssembler()
  for (const event of events) for (const chunk of reader.read({ data: JSON.stringify(event) })) assembler.add(chunk)
  for (const chunk of reader.end()) assembler.add(chunk)
  return assembler.completion()
}
