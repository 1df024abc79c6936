import { describe, expect, it } from 'vitest'
import { type ChatChunk, type ChunkDelta, type ToolCallDelta, usageOf } from './chat.ts'
import { errorBody, toOmiumError } from './errors.ts'
import { ResponseEvents } from './response-events.ts'
import { chatOf, type ResponsesRequest, responsesRequest } from './responses.ts'

const request = (more: object): ResponsesRequest => responsesRequest.parse({ model: 'm', input: 'Hi', ...more })
const asked = (more: object) => chatOf(request(more))
const refused = (more: object): string => {
  try {
    asked(more)
    return 'not refused'
  } catch (error) {
    return toOmiumError(error).message
  }
}

describe('a request for a response', () => {
  it('is one for a chat completion, in other words', () => {
    expect(
      asked({
        instructions: 'Be brief',
        temperature: 0,
        max_output_tokens: 9,
        parallel_tool_calls: false,
        tools: [{ type: 'function', name: 'f', description: null, parameters: { type: 'object' }, strict: true }],
        tool_choice: { type: 'function', name: 'f' },
        text: { format: { type: 'json_schema', name: 's', schema: { type: 'object' } }, verbosity: 'low' },
        reasoning: { effort: 'low' },
        top_k: 3,
        include: ['reasoning.encrypted_content'],
        store: true,
        metadata: { a: 'b' },
        previous_response_id: null,
      }),
    ).toEqual({
      model: 'm',
      messages: [
        { role: 'system', content: 'Be brief' },
        { role: 'user', content: 'Hi' },
      ],
      temperature: 0,
      max_completion_tokens: 9,
      parallel_tool_calls: false,
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' }, strict: true } }],
      tool_choice: { type: 'function', function: { name: 'f' } },
      response_format: { type: 'json_schema', json_schema: { name: 's', schema: { type: 'object' } } },
      reasoning_effort: 'low',
      verbosity: 'low',
      top_k: 3,
    })
  })

  it('holds a conversation: what was said and called in one turn is one message', () => {
    const call = (id: string) => ({ type: 'function_call', call_id: id, name: 'f', arguments: '{}', id: `fc_${id}` })
    const output = (id: string, text: unknown) => ({ type: 'function_call_output', call_id: id, output: text })
    const called = (id: string) => ({ id, type: 'function', function: { name: 'f', arguments: '{}' } })
    const input = [
      { role: 'developer', content: 'D' },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'look' },
          { type: 'input_image', image_url: 'data:image/png;base64,AA==', detail: 'low' },
        ],
      },
      { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'x' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'I call', annotations: [] }] },
      call('1'),
      { ...call('2'), extra_content: { google: { thought_signature: 's' } } },
      output('1', 'one'),
      output('2', [{ type: 'input_text', text: 'two' }]),
      call('3'),
      output('3', 'three'),
      { role: 'user', content: [{ type: 'input_text', text: 'and?' }] },
    ]
    expect(asked({ input }).messages).toEqual([
      { role: 'developer', content: 'D' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'look' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'low' } },
        ],
      },
      {
        role: 'assistant',
        content: 'I call',
        tool_calls: [called('1'), { ...called('2'), extra_content: { google: { thought_signature: 's' } } }],
      },
      { role: 'tool', tool_call_id: '1', content: 'one' },
      { role: 'tool', tool_call_id: '2', content: 'two' },
      { role: 'assistant', content: null, tool_calls: [called('3')] },
      { role: 'tool', tool_call_id: '3', content: 'three' },
      { role: 'user', content: 'and?' },
    ])
  })

  it.each([
    [{ previous_response_id: 'resp_1' }, /^previous_response_id: responses are not kept here; send the whole/],
    [{ conversation: { id: 'conv_1' } }, /^conversation: responses are not kept/],
    [{ input: [{ type: 'item_reference', id: 'msg_1' }] }, /^input\.0: responses are not kept/],
    [{ background: true }, /^background: /],
    [{ prompt: { id: 'pmpt_1' } }, /^prompt: /],
    [{ truncation: 'auto' }, /^truncation: /],
    [{ tools: [{ type: 'web_search' }] }, /^tools\.0: a tool of the type web_search runs elsewhere/],
    [{ tool_choice: { type: 'file_search' } }, /^tool_choice: file_search/],
    [{ input: [{ type: 'computer_call' }] }, /^input\.0: an item of the type computer_call/],
    [{ input: [{ type: 'function_call', name: 'f' }] }, /^input\.0\.call_id: /],
    [{ input: [{ role: 'nobody', content: 'x' }] }, /^input\.0\.role: /],
    [{ input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] }, /^input\.0\.content\.0: files/],
    [{ input: [{ role: 'user', content: [{ type: 'output_video' }] }] }, /^input\.0\.content\.0: content of the type/],
    [
      { input: [{ role: 'assistant', content: [{ type: 'input_image' }] }] },
      /^input\.0\.content\.0: input_image is not/,
    ],
  ])('is refused with what it needs that is not here: %j', (more, why) => {
    expect(refused(more)).toMatch(why)
  })
})

let ids = 0
const minting = { id: (prefix: string) => `${prefix}_${ids++}`, nowSeconds: () => 7 }
const chunk = (delta: ChunkDelta, finish: string | null = null): ChatChunk => ({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 0,
  model: 'm-1',
  choices: [{ index: 0, delta, finish_reason: finish }],
})
const usage: ChatChunk = { ...chunk({}), choices: [], usage: { ...usageOf(10, 5, 4), omium_cost_micro_credits: 3 } }
const answered = (chunks: readonly ChatChunk[], more: object = {}) => {
  ids = 0
  const events = new ResponseEvents(request(more), minting)
  const all = [...events.begin(), ...chunks.flatMap((one) => events.add(one)), ...events.end()]
  return { all, types: all.map(({ type }) => type.replace('response.', '')), response: events.response() }
}

describe('a response', () => {
  it('is told as it grows, and whole at the end', () => {
    const call = (index: number, more: Omit<ToolCallDelta, 'index'>) => chunk({ tool_calls: [{ index, ...more }] })
    const { all, types, response } = answered([
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'he' }),
      chunk({ content: 'llo' }),
      call(0, { id: 'call_a', type: 'function', function: { name: 'f', arguments: '' } }),
      call(1, { id: 'call_b', type: 'function', function: { name: 'g', arguments: '{"b"' } }),
      call(0, { function: { arguments: '{}' } }),
      call(1, { function: { arguments: ':1}' } }),
      chunk({}, 'tool_calls'),
      usage,
    ])
    expect(types).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'output_item.added',
      'output_item.added',
      'function_call_arguments.delta',
      'function_call_arguments.delta',
      'function_call_arguments.delta',
      'function_call_arguments.done',
      'output_item.done',
      'function_call_arguments.done',
      'output_item.done',
      'completed',
    ])
    expect(all.map(({ sequence_number: n }) => n)).toEqual(all.map((_, i) => i))
    expect(all.at(-1)?.['response']).toEqual(response)
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      model: 'm-1',
      store: false,
      created_at: 7,
      output: [
        { type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'hello' }] },
        { type: 'function_call', call_id: 'call_a', name: 'f', arguments: '{}', status: 'completed' },
        { type: 'function_call', call_id: 'call_b', name: 'g', arguments: '{"b":1}' },
      ],
      usage: {
        input_tokens: 10,
        input_tokens_details: { cached_tokens: 4 },
        output_tokens: 5,
        total_tokens: 15,
        omium_cost_micro_credits: 3,
      },
    })
  })

  it.each([
    ['length', 'max_output_tokens'],
    ['content_filter', 'content_filter'],
  ])('that ends with %s is not whole, and says so', (finish, reason) => {
    const { types, response } = answered([chunk({ content: 'he' }), chunk({}, finish)])
    expect(types.at(-1)).toBe('incomplete')
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason },
      output: [{ status: 'incomplete' }],
    })
  })

  it('holds a refusal, and says what breaks it off where clients look for it', () => {
    const { response } = answered([chunk({ refusal: 'I' }), chunk({ refusal: ' will not' }), chunk({}, 'stop')])
    expect(response['output']).toMatchObject([{ content: [{ type: 'refusal', refusal: 'I will not' }] }])
    const error = toOmiumError(new Error('x'))
    expect(new ResponseEvents(request({}), minting).failed(errorBody(error, 'oops', 'req_1'))).toMatchObject({
      type: 'error',
      code: 'internal',
      message: 'oops',
      error: { code: 'internal', message: 'oops', request_id: 'req_1' },
    })
  })
})
