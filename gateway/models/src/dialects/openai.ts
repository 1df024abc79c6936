import { refusalIn } from '@omium/schemas'
import { type ChatChunk, type ChatCompletion, type ChatRequest, type Embeddings, usageOf } from '../wire/chat.ts'
import { countIn, type Dialect, type Loose, listOf, looseOf, malformed, type StreamReader, textIn } from './dialect.ts'

/**
 * OpenAI's own format, spoken by Ollama, vLLM, LiteLLM, OpenRouter and most others as well. Requests go on as they came, but
 * for the model's name; answers are checked for what callers rely on and passed on with whatever else they hold.
 */
const withUsage = (usage: unknown) => {
  const used = looseOf(usage)
  if (used['prompt_tokens'] === undefined && used['completion_tokens'] === undefined) return undefined
  const input = countIn(used['prompt_tokens'])
  const output = countIn(used['completion_tokens'])
  return { ...used, ...usageOf(input, output), ...detailsOf(used) }
}
const detailsOf = (used: Loose) =>
  used['prompt_tokens_details'] ? { prompt_tokens_details: looseOf(used['prompt_tokens_details']) } : {}

const completion = (answer: unknown, model: string): ChatCompletion => {
  const body = looseOf(answer)
  // some gateways answer 200 and say in the body that they failed
  if (body['error']) throw refusalIn(body['error'])
  const choices = listOf(body['choices'])
  if (choices.length === 0) malformed('it has no choice')
  for (const choice of choices) {
    const message = looseOf(choice['message'])
    const said = message['content']
    if (said !== undefined && said !== null && typeof said !== 'string') malformed('its content is not text')
    if (choice['message'] === undefined) malformed('a choice has no message')
    for (const call of listOf(message['tool_calls']))
      if (typeof looseOf(call['function'])['name'] !== 'string') malformed('a tool call has no name')
  }
  const { usage: _, ...rest } = body
  const usage = withUsage(body['usage'])
  return {
    ...rest,
    id: textIn(body['id']) ?? '',
    object: 'chat.completion',
    created: countIn(body['created']),
    model: textIn(body['model']) ?? model,
    choices: choices as unknown as ChatCompletion['choices'],
    ...(usage && { usage }),
  }
}

const stream = (model: string): StreamReader => {
  let done = false
  /** whether each choice that has begun is finished */
  const finished = new Map<unknown, boolean>()
  return {
    get done() {
      return done
    },
    read({ data }) {
      if (data === '[DONE]') {
        done = true
        return []
      }
      const chunk = looseOf(JSON.parse(data))
      if (chunk['error']) throw refusalIn(chunk['error'])
      const choices = listOf(chunk['choices'])
      for (const { index, finish_reason: reason } of choices)
        if (!finished.get(index)) finished.set(index, textIn(reason) !== undefined)
      const usage = withUsage(chunk['usage'])
      // Azure's first chunk holds filter results and nothing that a caller wants
      if (choices.length === 0 && !usage) return []
      const { usage: _, ...rest } = chunk
      return [
        {
          ...rest,
          id: textIn(chunk['id']) ?? '',
          object: 'chat.completion.chunk',
          created: countIn(chunk['created']),
          model: textIn(chunk['model']) || model,
          choices: choices.map((choice) => ({ ...choice, delta: looseOf(choice['delta']) })),
          ...(usage && { usage }),
        } as unknown as ChatChunk,
      ]
    },
    end() {
      // without its last word it is whole when every choice has ended
      if (!done && (finished.size === 0 || [...finished.values()].includes(false))) malformed('the stream broke off')
      return []
    },
  }
}

const bodyOf = (request: ChatRequest, model: string, streamed: boolean): object => {
  const { stream: _, stream_options: options, ...rest } = request
  return { ...rest, model, ...(streamed && { stream: true, stream_options: { ...options, include_usage: true } }) }
}

export const openai: Dialect = {
  name: 'openai',
  auth: (apiKey) => ({ authorization: `Bearer ${apiKey}` }),
  idempotencyKeys: true,
  chat: (request, model, streamed) => ({ path: '/chat/completions', body: bodyOf(request, model, streamed) }),
  completion,
  stream,
  embeddings: (request, model) => ({ path: '/embeddings', body: { ...request, model } }),
  embedded(answer, _request, model) {
    const body = looseOf(answer)
    if (body['error']) throw refusalIn(body['error'])
    const data = listOf(body['data'])
    if (data.length === 0 || data.some(({ embedding }) => !Array.isArray(embedding) && typeof embedding !== 'string'))
      malformed('it has no embedding')
    return {
      object: 'list',
      model: textIn(body['model']) ?? model,
      data: data as unknown as Embeddings['data'],
      usage: withUsage(body['usage']) ?? usageOf(0, 0),
    }
  },
}

/**
 * Azure OpenAI: the same bodies, another address and header. The base URL is the resource's
 * (`https://<resource>.openai.azure.com`); with an API version a model is a deployment, without the v1 API is used.
 */
export const azure = (apiVersion: string | undefined): Dialect => {
  const place = (model: string, path: string) =>
    apiVersion === undefined
      ? { path: `/openai/v1${path}` }
      : { path: `/openai/deployments/${encodeURIComponent(model)}${path}`, query: { 'api-version': apiVersion } }
  return {
    ...openai,
    name: 'azure',
    auth: (apiKey) => ({ 'api-key': apiKey }),
    idempotencyKeys: false,
    chat: (request, model, streamed) => ({
      ...openai.chat(request, model, streamed),
      ...place(model, '/chat/completions'),
    }),
    embeddings: (request, model) => ({ ...openai.embeddings(request, model), ...place(model, '/embeddings') }),
  }
}
