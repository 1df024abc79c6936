import { putTenants } from '@omium/access/testing'
import { freshDatabase, freshPrefix, freshSecrets, gatewayDatabaseUrl, newApiKey, testStack } from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import OpenAI from 'openai'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseModelSettings, readConfig, startModelGateway } from '../src/index.ts'
import { chunk, completion, drop, events, json, refusal, ScriptedProvider, usageChunk } from './scripted-provider.ts'

/** The Responses API as the official client uses it, before providers that know chat completions or their own API only. */
const apiKey = newApiKey()
const secrets = freshSecrets()
const provider = await ScriptedProvider.listen()
let gateway: Awaited<ReturnType<typeof startModelGateway>>
let client: OpenAI

beforeAll(async () => {
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl, { gatewayDatabaseUrl: gatewayDatabaseUrl(databaseUrl) })
  await putTenants(databaseUrl, secrets, { tenant: 'ten_a', apiKey })
  const settings = parseModelSettings(
    {
      version: 1,
      providers: {
        plain: { dialect: 'openai', baseUrl: `${provider.url}/v1` },
        claude: { dialect: 'anthropic', baseUrl: provider.url },
      },
      models: {
        'gpt-*': { targets: [{ provider: 'plain' }] },
        claude: { targets: [{ provider: 'claude', model: 'claude-haiku-4-5' }] },
      },
      retries: { max: 0 },
    },
    'the spec',
  )
  const config = readConfig({
    ...secrets,
    OMIUM_KAFKA_BROKERS: testStack().kafkaBrokers.join(','),
    OMIUM_SCHEMA_REGISTRY_URL: testStack().registryUrl,
    OMIUM_PARTITIONS: '1',
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_GATEWAY_DATABASE_URL: gatewayDatabaseUrl(databaseUrl),
    OMIUM_TOPIC_PREFIX: freshPrefix(),
    OMIUM_MODELS_PORT: '0',
  })
  gateway = await startModelGateway(config, settings, {}, pino({ level: 'silent' }))
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 })
})
afterAll(async () => {
  await gateway?.close()
  await provider.close()
})
beforeEach(() => provider.play(completion('hello', 'gpt-4o')))

const weather = {
  type: 'function' as const,
  name: 'weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: true,
}

describe('a response', () => {
  it('is an answer with usage and cost', async () => {
    const { data, response } = await client.responses
      .create({ model: 'gpt-4o', instructions: 'Be brief', input: 'Hi', max_output_tokens: 50 })
      .withResponse()
    expect(data).toMatchObject({ status: 'completed', output_text: 'hello', usage: { input_tokens: 1000 } })
    expect(data.usage).toMatchObject({ omium_cost_micro_credits: 2600 })
    expect(response.headers.get('x-omium-provider')).toBe('plain')
    expect(provider.seen[0]).toMatchObject({
      path: '/v1/chat/completions',
      body: {
        model: 'gpt-4o',
        max_completion_tokens: 50,
        messages: [
          { role: 'system', content: 'Be brief' },
          { role: 'user', content: 'Hi' },
        ],
      },
    })
  })

  it('calls functions over two turns, the output handed back as it came', async () => {
    const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: 'Weather in Oslo?' }]
    provider.play(
      json(200, {
        id: 'msg_1',
        model: 'claude-haiku-4-5',
        content: [
          { type: 'text', text: 'Let me see.' },
          { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Oslo' } },
        ],
        stop_reason: 'tool_use',
        usage: { input_tokens: 1, output_tokens: 1 },
      }),
      json(200, {
        id: 'msg_2',
        model: 'claude-haiku-4-5',
        content: [{ type: 'text', text: 'Rain.' }],
        stop_reason: 'end_turn',
        usage: { input_tokens: 1, output_tokens: 1 },
      }),
    )
    const first = await client.responses.create({ model: 'claude', input, tools: [weather] })
    const call = first.output.find((item) => item.type === 'function_call')
    expect(call).toMatchObject({ call_id: 'toolu_1', name: 'weather', arguments: '{"city":"Oslo"}' })
    input.push(...(first.output as OpenAI.Responses.ResponseInput))
    input.push({ type: 'function_call_output', call_id: 'toolu_1', output: 'rain' })
    const second = await client.responses.create({ model: 'claude', input, tools: [weather] })
    expect(second.output_text).toBe('Rain.')
    expect(provider.seen[1]?.body.messages).toMatchObject([
      { role: 'user' },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'Let me see.' },
          { type: 'tool_use', id: 'toolu_1' },
        ],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'rain' }] },
    ])
  })

  it('streams text and calls to the helper of the client', async () => {
    const call = (more: object) => chunk({ tool_calls: [{ index: 0, ...more }] })
    provider.play(
      events([
        chunk({ role: 'assistant', content: 'he' }),
        chunk({ content: 'llo' }),
        call({ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } }),
        call({ function: { arguments: '{"city":"Oslo"}' } }),
        chunk({}, 'tool_calls'),
        usageChunk,
      ]),
    )
    let text = ''
    const stream = client.responses.stream({ model: 'gpt-4o', input: 'Hi', tools: [weather] })
    stream.on('response.output_text.delta', ({ delta }) => {
      text += delta
    })
    const final = await stream.finalResponse()
    expect(text).toBe('hello')
    expect(final).toMatchObject({ status: 'completed', output_text: 'hello', usage: { output_tokens: 10 } })
    expect(final.output[1]).toMatchObject({ name: 'weather', parsed_arguments: { city: 'Oslo' } })
    expect(provider.seen[0]?.body).toMatchObject({ stream: true, stream_options: { include_usage: true } })
  })

  it('that breaks off in the middle is an error with its code', async () => {
    provider.play(drop(events([chunk({ content: 'he' })], { end: false, done: false })))
    const stream = await client.responses.create({ model: 'gpt-4o', input: 'Hi', stream: true })
    const read = async () => {
      for await (const _ of stream);
    }
    await expect(read()).rejects.toMatchObject({ code: 'model_overloaded' })
  })

  it('before its beginning is an error with its status', async () => {
    provider.play(refusal(429, 'slow down', 'rate_limit_exceeded', { 'retry-after': '30' }))
    const asked = client.responses.create({ model: 'gpt-4.1', input: 'Hi', stream: true })
    await expect(asked).rejects.toMatchObject({ status: 429, code: 'model_rate_limited' })
  })

  it('is not kept: what refers to one is refused before anybody is asked', async () => {
    const again = { model: 'gpt-4o', input: 'And?', previous_response_id: 'resp_1' }
    for (const stream of [false, true])
      await expect(client.responses.create({ ...again, stream })).rejects.toMatchObject({
        status: 400,
        code: 'invalid_request',
        message: expect.stringContaining('previous_response_id: responses are not kept here'),
      })
    await expect(client.responses.retrieve('resp_1')).rejects.toMatchObject({ status: 404, code: 'not_found' })
    expect(provider.seen).toEqual([])
  })
})
