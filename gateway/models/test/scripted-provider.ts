import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Seen {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
  readonly body: any
}
export type Answer = (seen: Seen, response: ServerResponse) => void | Promise<void>

/** A provider that answers as it is told; each call takes the next answer of the script, the last one stays. */
export class ScriptedProvider {
  readonly seen: Seen[] = []
  #script: Answer[] = []
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async listen(): Promise<ScriptedProvider> {
    const server = createServer((request, response) => {
      let text = ''
      request.on('data', (part) => {
        text += part
      })
      request.on('end', () => {
        const seen: Seen = { path: request.url ?? '', headers: request.headers, body: JSON.parse(text || 'null') }
        provider.seen.push(seen)
        const next = provider.#script.length > 1 ? provider.#script.shift() : provider.#script[0]
        if (next) void next(seen, response)
        else response.writeHead(500).end()
      })
    })
    const provider = new ScriptedProvider(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return provider
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Forgets what was seen and takes a new script. */
  play(...script: Answer[]): void {
    this.seen.length = 0
    this.#script = script
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }

export const completion = (content: string, model = 'gpt-4o-2024-08-06') =>
  json(200, {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model,
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1000, completion_tokens: 10, total_tokens: 1010 },
  })

export const refusal = (status: number, message: string, code: string, headers: Record<string, string> = {}) =>
  json(status, { error: { message, type: code, param: null, code } }, headers)

/** Server-sent events as they are given, then the end (or not). */
export const events =
  (parts: readonly unknown[], { end = true, done = true } = {}): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const part of parts) response.write(`data: ${typeof part === 'string' ? part : JSON.stringify(part)}\n\n`)
    if (done) response.write('data: [DONE]\n\n')
    if (end) response.end()
  }

export const chunk = (delta: object, finish: string | null = null) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'gpt-4o-2024-08-06',
  choices: [{ index: 0, delta, finish_reason: finish }],
})
export const usageChunk = {
  ...chunk({}),
  choices: [],
  usage: { prompt_tokens: 1000, completion_tokens: 10, total_tokens: 1010 },
}

/** The connection breaks: before anything was said, or in the middle. */
export const drop =
  (before?: Answer): Answer =>
  async (seen, response) => {
    await before?.(seen, response)
    // what was written goes out first
    setImmediate(() => response.destroy())
  }

/** Nothing comes, ever. */
export const hang: Answer = () => undefined
