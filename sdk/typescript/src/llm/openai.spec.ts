import { afterEach, describe, expect, it } from 'vitest'
import { type Handler, ScriptedGateway, sendJson } from '../../test/scripted-gateway.ts'
import type { ChatRequest } from './model.ts'
import { openAiCompatible } from './openai.ts'
import { defaultPrices, usageOf, worstCaseMicroCredits } from './prices.ts'

const request: ChatRequest = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hi' }] }
const never = new AbortController().signal

describe('the OpenAI-compatible client', () => {
  let provider: ScriptedGateway
  const completeWith = async (handler: Handler) => {
    provider = await ScriptedGateway.listen({ 'POST /v1/chat/completions': handler })
    return openAiCompatible({ baseUrl: `${provider.url}/v1/`, apiKey: 'sk' })
  }
  afterEach(() => provider.close())

  it('gives message, tokens and model', async () => {
    const complete = await completeWith((asked, response) => {
      expect([asked.headers.authorization, asked.body]).toEqual(['Bearer sk', request])
      sendJson(response, 200, {
        model: 'gpt-4o-mini-2024',
        choices: [{ message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 10, completion_tokens: 2 },
      })
    })
    expect(await complete(request, { signal: never, onDelta: undefined })).toEqual({
      message: { role: 'assistant', content: 'Hello' },
      finishReason: 'stop',
      model: 'gpt-4o-mini-2024',
      inputTokens: 10,
      outputTokens: 2,
    })
  })

  it.each(['application/json', 'text/event-stream'])('ends an answer of %s that has no end', async (type) => {
    const complete = await completeWith((_, response) => {
      response.writeHead(200, { 'content-type': type })
      const chunk = JSON.stringify({ choices: [{ delta: { content: 'x'.repeat(65_536) } }] })
      const more = (): void => {
        while (!response.destroyed && response.write(`data: ${chunk}\n\n`));
      }
      response.on('drain', more)
      more()
    })
    const asked = complete(request, { signal: never, onDelta: () => {} })
    await expect(asked).rejects.toMatchObject({ code: 'model_malformed', retryable: false })
  })

  it('streams text and puts tool calls together', async () => {
    const complete = await completeWith((asked, response) => {
      expect(asked.body).toMatchObject({ stream: true, stream_options: { include_usage: true } })
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const send = (chunk: unknown) => response.write(`data: ${JSON.stringify(chunk)}\n\n`)
      const delta = (part: object) => send({ model: 'm', choices: [{ delta: part }] })
      delta({ content: 'He' })
      delta({ content: 'llo' })
      delta({ tool_calls: [{ index: 0, id: 'c1', function: { name: 'search', arguments: '{"q":' } }] })
      delta({ tool_calls: [{ index: 0, function: { arguments: '"x"}' } }] })
      send({ choices: [{ delta: {}, finish_reason: 'tool_calls' }] })
      send({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } })
      response.end('data: [DONE]\n\n')
    })
    const deltas: string[] = []
    const completion = await complete(request, { signal: never, onDelta: (text) => deltas.push(text) })
    expect(deltas).toEqual(['He', 'llo'])
    expect(completion).toEqual({
      message: {
        role: 'assistant',
        content: 'Hello',
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'search', arguments: '{"q":"x"}' } }],
      },
      finishReason: 'tool_calls',
      model: 'm',
      inputTokens: 3,
      outputTokens: 4,
    })
  })

  it.each([
    [401, {}, 'model_auth', false],
    [429, {}, 'model_rate_limited', true],
    [503, {}, 'model_overloaded', true],
    [400, { error: { message: 'too long', code: 'context_length_exceeded' } }, 'model_context_length', false],
    [400, { error: { message: 'no', code: 'content_filter' } }, 'model_content_filter', false],
    [400, { error: { message: 'bad parameter' } }, 'invalid_request', false],
    [200, { choices: [] }, 'model_malformed', true],
    // the platform's own gateway says what it is, whatever the status
    [400, { error: { message: 'x', code: 'model_context_length' } }, 'model_context_length', false],
    [429, { error: { message: 'x', code: 'rate_limited' } }, 'rate_limited', true],
    [401, { error: { message: 'x', code: 'unauthenticated' } }, 'unauthenticated', false],
    [402, { error: { message: 'x', code: 'budget_exceeded' } }, 'budget_exceeded', false],
    [500, { error: { message: 'x', code: 'step_failed' } }, 'model_overloaded', true],
  ])('answers %i %j as %s', async (status, body, code, retryable) => {
    const complete = await completeWith((_, response) => {
      response.setHeader('retry-after', '2')
      sendJson(response, status, body)
    })
    await expect(complete(request, { signal: never, onDelta: undefined })).rejects.toMatchObject({ code, retryable })
  })

  it('takes the endpoint at its word about the cost, and tells it which call it is', async () => {
    const keys: unknown[] = []
    const complete = await completeWith((asked, response) => {
      keys.push(asked.headers['idempotency-key'])
      sendJson(response, 200, {
        model: 'gpt-4o-mini',
        choices: [{ message: { content: 'Hello' } }],
        usage: { prompt_tokens: 10, completion_tokens: 2, omium_cost_micro_credits: 0 },
      })
    })
    const answer = await complete(request, { signal: never, onDelta: undefined, idempotencyKey: 'run/chat#1' })
    await complete(request, { signal: never, onDelta: undefined, idempotencyKey: 'run/süß#1' })
    expect(usageOf(defaultPrices, answer).costMicroCredits).toBe(0)
    expect(keys).toEqual(['run/chat#1', expect.stringMatching(/^[0-9a-f]{64}$/)])
  })

  it("passes on the gateway's code when a stream fails", async () => {
    const complete = await completeWith((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(`data: ${JSON.stringify({ error: { message: 'x', code: 'model_rate_limited' } })}\n\n`)
    })
    await expect(complete(request, { signal: never, onDelta: () => {} })).rejects.toMatchObject({
      code: 'model_rate_limited',
    })
  })

  it('says when a stream broke off', async () => {
    const complete = await completeWith((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(`data: ${JSON.stringify({ choices: [{ delta: { content: 'He' } }] })}\n\n`)
    })
    await expect(complete(request, { signal: never, onDelta: () => {} })).rejects.toMatchObject({
      code: 'model_malformed',
    })
  })

  it('prices by the longest name that fits and bounds the worst case', async () => {
    provider = await ScriptedGateway.listen({})
    const completion = {
      message: { role: 'assistant' as const, content: '' },
      finishReason: 'stop',
      inputTokens: 1000,
      outputTokens: 10,
    }
    expect(usageOf(defaultPrices, { ...completion, model: 'gpt-4o-mini-2024' }).costMicroCredits).toBe(156)
    expect(usageOf(defaultPrices, { ...completion, model: 'openai/gpt-4o' }).costMicroCredits).toBe(2600)
    expect(usageOf(defaultPrices, { ...completion, model: 'local' }).costMicroCredits).toBeUndefined()
    expect(worstCaseMicroCredits(defaultPrices, { ...request, max_tokens: 100 })).toBeGreaterThan(60)
    expect(worstCaseMicroCredits(defaultPrices, { ...request, model: 'local' })).toBe(0)
  })
})
