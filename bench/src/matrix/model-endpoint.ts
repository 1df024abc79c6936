import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ProviderName, providers, type Refused, words } from './provider-words.ts'

/**
 * An OpenAI-compatible endpoint that fails as the run that asks has ordered: `[fault:CLASS run:ID]` somewhere in its messages.
 * It first asks for the tool `act`, and once that has acted answers `done [fault:CLASS run:ID]`; faults of the model come in
 * between.
 *
 * It speaks of failures as Omium's model gateway does when that has tried again by itself before, or as the `providers` do, the
 * runs of a cell in turn.
 */
export type Speech = 'gateway' | 'providers'

export interface ModelEndpoint {
  /** ends in /v1 */
  readonly baseUrl: string
  close(): Promise<void>
}

interface Asked {
  readonly model: string
  readonly messages: unknown
  readonly stream?: boolean
  readonly tools?: readonly { readonly function: { readonly name: string } }[]
}

/** Requests of more characters are refused in runs that order it. */
const longestRequest = 5000
/** As often as a framework's model call is tried by its step. */
const triesOfStep = 5
/** of a run, by the number in its id */
const providerOf = (run: string): ProviderName =>
  providers[(Number(run.slice(run.lastIndexOf('-') + 1)) - 1) % providers.length] ?? 'openai'

export const tooLong = 'word '.repeat(1600)

interface Reply {
  readonly status: number
  readonly type: string
  readonly text: string
  readonly headers?: Readonly<Record<string, string>>
}
interface Message {
  readonly content: string | null
  readonly tool_calls?: readonly object[]
}

const json = (status: number, body: object): Reply => ({ status, type: 'application/json', text: JSON.stringify(body) })

const refusal = (status: number, code: string, message: string): Reply =>
  json(status, { error: { message, type: 'server_error', param: null, code, retryable: false } })

const inWords = ({ status, body, headers = {} }: Refused): Reply => ({
  status,
  type: 'application/json',
  text: body,
  headers,
})

const completion = ({ model, stream }: Asked, message: Message, costMicroCredits?: number): Reply => {
  const usage = {
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 15,
    ...(costMicroCredits !== undefined && { omium_cost_micro_credits: costMicroCredits }),
  }
  const base = { id: `chatcmpl-${crypto.randomUUID()}`, created: 0, model }
  const finish = message.tool_calls ? 'tool_calls' : 'stop'
  if (!stream) {
    const choices = [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finish }]
    return json(200, { ...base, object: 'chat.completion', choices, usage })
  }
  const toolCalls = message.tool_calls?.map((call, index) => ({ index, ...call }))
  const delta = { role: 'assistant', ...message, ...(toolCalls && { tool_calls: toolCalls }) }
  const chunks = [
    { choices: [{ index: 0, delta, finish_reason: null }] },
    { choices: [{ index: 0, delta: {}, finish_reason: finish }] },
    { choices: [], usage },
  ].map((chunk) => JSON.stringify({ ...base, object: 'chat.completion.chunk', ...chunk }))
  const text = [...chunks, '[DONE]'].map((data) => `data: ${data}\n\n`).join('')
  return { status: 200, type: 'text/event-stream', text }
}

/** The model asks for the tool that acts, under the name that the framework gave it. */
const toolCall = (asked: Asked, fault: string, run: string): Reply => {
  const name = asked.tools?.map((tool) => tool.function.name).find((one) => one.endsWith('act')) ?? 'act'
  const call = { name, arguments: JSON.stringify({ fault, run }) }
  const calls = [{ id: `call_${crypto.randomUUID().replaceAll('-', '')}`, type: 'function', function: call }]
  return completion(asked, { content: null, tool_calls: calls }, fault === 'budget' ? 1000 : undefined)
}

/** @returns null for what is never answered */
const scripted = (asked: Asked, before: (run: string) => number, speech: Speech): Reply | null => {
  const text = JSON.stringify(asked.messages)
  const [order, fault = '', run = ''] = /\[fault:(\w+) run:([\w.-]+)\]/.exec(text) ?? []
  if (order === undefined) return refusal(400, 'invalid_request', 'the request names no run')
  const acts = fault === 'loop' ? !text.includes('Stop: ') : !text.includes('acted [fault:')
  if (acts) return toolCall(asked, fault, run)
  const done = completion(asked, { content: `done ${order}` })
  // programs without a framework ask without tools, and only once
  const tries = asked.tools ? triesOfStep : 1
  const said = words[providerOf(run)]
  if (speech === 'providers') {
    // what may be tried again is, by the step that asks
    if (fault === 'transient_provider' || fault === 'rate_limit')
      return before(run) < tries ? inWords(said[fault]) : done
    if (fault === 'bad_model_output') return text.includes('Answer again') ? done : inWords(said[fault])
    if (fault === 'context_length') return text.length > longestRequest ? inWords(said[fault]) : done
  }
  switch (fault) {
    case 'transient_provider':
      return before(run) < 1 ? refusal(503, 'model_overloaded', 'The engine is currently overloaded') : done
    case 'rate_limit':
      return before(run) < 1 ? refusal(429, 'model_rate_limited', 'Rate limit reached for requests') : done
    case 'timeout':
      return before(run) < tries ? null : done
    case 'bad_model_output':
      return text.includes('Answer again') ? done : refusal(502, 'model_malformed', 'the answer cannot be read')
    case 'context_length':
      return text.length > longestRequest
        ? refusal(400, 'model_context_length', "This model's maximum context length is 1000 tokens")
        : done
    default:
      return done
  }
}

export const startModelEndpoint = async (speech: Speech): Promise<ModelEndpoint> => {
  const times = new Map<string, number>()
  const before = (run: string): number => {
    const time = times.get(run) ?? 0
    times.set(run, time + 1)
    return time
  }
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const reply = scripted(JSON.parse(Buffer.concat(parts).toString()) as Asked, before, speech)
      // never answered: whoever asked goes away
      if (!reply) return
      const { status, type, text, headers = { 'x-should-retry': 'false', 'retry-after-ms': '200' } } = reply
      response.writeHead(status, { 'content-type': type, ...headers }).end(text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
