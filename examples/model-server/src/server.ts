import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { hashJson } from '@omium/schemas'
import Fastify, { type FastifyReply } from 'fastify'
import { z } from 'zod'
import { answer } from './answer.ts'
import type { CallLog } from './call-log.ts'
import { type Answer, type ChatRequest, chatRequest, usageOf } from './openai.ts'

export const modelName = 'omium-local-scripted'
/** Said in every answer, so that nobody takes one for a real model's. */
export const systemFingerprint = 'fp_omium_local_scripted_v1'

export interface ModelServerOptions {
  /** 0 takes any free port */
  readonly port?: number
  /** time from request to (first byte of the) answer, ms */
  readonly latencyMs?: number
  /** answers carry random ids, as those of real providers do; off: ids derive from the request */
  readonly nonce?: boolean
  readonly callLog?: CallLog
  /** told of each call when it comes in */
  readonly onReceived?: () => void
  readonly nowMs?: () => number
}

export interface ModelServer {
  /** OpenAI base URL, ends in /v1 */
  readonly baseUrl: string
  /** calls received since the start */
  readonly calls: number
  close(): Promise<void>
}

/** Faults on demand, for tests of clients: the request header `x-omium-fault` names one. */
const faults: Record<string, (reply: FastifyReply) => FastifyReply> = {
  '429': (reply) =>
    reply.code(429).header('retry-after', '1').send(problem('Rate limit reached', 'rate_limit_exceeded')),
  '500': (reply) => reply.code(500).send(problem('The server had an error', 'server_error')),
  malformed: (reply) => reply.code(200).type('application/json').send('{"choices": [{"message": {"conte'),
}

const problem = (message: string, code: string) => ({ error: { message, type: code, param: null, code } })

/**
 * Starts the OpenAI-compatible local model server on loopback: `POST /v1/chat/completions` (tools, SSE streaming with
 * usage) and `GET /v1/models`. Answers are a pure function of the request, see {@link answer}.
 */
export const startModelServer = async (options: ModelServerOptions = {}): Promise<ModelServer> => {
  const { port = 0, latencyMs = 60, nonce = true, callLog, onReceived, nowMs = Date.now } = options
  const app = Fastify({ bodyLimit: 20 * 1024 * 1024, forceCloseConnections: true })
  let calls = 0

  // Bad JSON is answered in OpenAI's words, so the body arrives here as text.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.get('/v1/models', () => ({
    object: 'list',
    data: [{ id: modelName, object: 'model', created: 0, owned_by: 'omium (scripted, local, not a language model)' }],
  }))

  app.post('/v1/chat/completions', async (request, reply) => {
    const call = ++calls
    const parsed = parseRequest(z.string().catch('').parse(request.body))
    const requestHash = hashRequest(parsed.body)
    callLog?.append({ event: 'received', call, at: nowMs(), requestHash })
    onReceived?.()
    const fault = faults[String(request.headers['x-omium-fault'] ?? '')]
    if (fault || !parsed.success) callLog?.append({ event: 'refused', call, at: nowMs(), requestHash })
    if (fault) return fault(reply)
    if (!parsed.success) return reply.code(400).send(problem(parsed.error, 'invalid_request_error'))
    await delay(latencyMs)
    const said = answer(parsed.data)
    const usage = usageOf(parsed.data, said)
    const seed = nonce ? randomBytes(12).toString('hex') : requestHash.slice(0, 24)
    const completion = { id: `chatcmpl-${seed}`, created: nonce ? Math.floor(nowMs() / 1000) : 0 }
    const message = messageOf(said, seed)
    const finish = said.kind === 'tools' ? 'tool_calls' : 'stop'
    callLog?.append({
      event: 'answered',
      call,
      at: nowMs(),
      requestHash,
      answerId: completion.id,
      promptTokens: usage.prompt_tokens,
      completionTokens: usage.completion_tokens,
    })
    const base = { ...completion, model: modelName, system_fingerprint: systemFingerprint }
    if (!parsed.data.stream)
      return {
        ...base,
        object: 'chat.completion',
        choices: [{ index: 0, message, logprobs: null, finish_reason: finish }],
        usage,
      }

    const chunk = (choices: unknown[], extra: object = {}) =>
      `data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices, ...extra })}\n\n`
    const delta = (part: object, finish_reason: string | null = null) =>
      chunk([{ index: 0, delta: part, logprobs: null, finish_reason }])
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    reply.raw.write(delta({ role: 'assistant', content: said.kind === 'text' ? '' : null }))
    if (said.kind === 'text')
      for (const part of said.text.match(/\S+\s*/g) ?? []) reply.raw.write(delta({ content: part }))
    else reply.raw.write(delta({ tool_calls: message.tool_calls?.map((one, index) => ({ index, ...one })) }))
    reply.raw.write(delta({}, finish))
    if (parsed.data.stream_options?.include_usage) reply.raw.write(chunk([], { usage }))
    reply.raw.end('data: [DONE]\n\n')
    return reply
  })

  const address = await app.listen({ host: '127.0.0.1', port })
  return {
    baseUrl: `${address}/v1`,
    get calls() {
      return calls
    },
    close: async () => {
      await app.close()
      callLog?.close()
    },
  }
}

type Parsed = { body: unknown } & ({ success: true; data: ChatRequest } | { success: false; error: string })

const parseRequest = (raw: string): Parsed => {
  let body: unknown
  try {
    body = JSON.parse(raw)
  } catch {
    return { body: raw, success: false, error: 'The body is not valid JSON' }
  }
  const parsed = chatRequest.safeParse(body)
  return parsed.success
    ? { body, success: true, data: parsed.data }
    : { body, success: false, error: z.prettifyError(parsed.error) }
}

/** What makes two calls the same call: all that was asked, but not whether the answer is streamed. */
const hashRequest = (body: unknown): string => {
  if (typeof body !== 'object' || body === null) return hashJson(body)
  const { stream: _, stream_options: __, ...asked } = body as Record<string, unknown>
  return hashJson(asked)
}

const messageOf = (said: Answer, seed: string) =>
  said.kind === 'text'
    ? { role: 'assistant', content: said.text, refusal: null }
    : {
        role: 'assistant',
        content: null,
        refusal: null,
        tool_calls: said.calls.map((call, index) => ({
          id: `call_${seed}_${index}`,
          type: 'function',
          function: { name: call.name, arguments: JSON.stringify(call.arguments) },
        })),
      }
