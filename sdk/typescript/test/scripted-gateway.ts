import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Handler = (
  request: IncomingMessage & { path: string; query: URLSearchParams; body: unknown },
  response: ServerResponse,
) => void

/** A scripted HTTP server for specs of the client: answers by `METHOD /path`, and keeps what was asked. */
export class ScriptedGateway {
  readonly asked: string[] = []
  private readonly server: Server
  private readonly handlers: Record<string, Handler>

  private constructor(handlers: Record<string, Handler>) {
    this.handlers = handlers
    this.server = createServer((request, response) => {
      const url = new URL(request.url ?? '/', 'http://gateway')
      const name = `${request.method} ${url.pathname}`
      this.asked.push(name)
      let text = ''
      request.on('data', (chunk) => {
        text += chunk
      })
      request.on('end', () => {
        const handler = this.handlers[name]
        const body = text === '' ? undefined : (JSON.parse(text) as unknown)
        if (handler) handler(Object.assign(request, { path: url.pathname, query: url.searchParams, body }), response)
        else sendProblem(response, 404, 'not_found', `no ${name}`)
      })
    })
  }

  static async listen(handlers: Record<string, Handler>): Promise<ScriptedGateway> {
    const gateway = new ScriptedGateway(handlers)
    await new Promise<void>((resolve) => gateway.server.listen(0, '127.0.0.1', resolve))
    return gateway
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

export const sendJson = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

export const sendProblem = (
  response: ServerResponse,
  status: number,
  code: string,
  detail: string,
  retryable = false,
): void => {
  response.writeHead(status, { 'content-type': 'application/problem+json' })
  response.end(
    JSON.stringify({ type: `https://omium.dev/errors/${code}`, title: code, status, detail, code, retryable }),
  )
}

export const receipt = (executionId: string, deduplicated = false) => ({ executionId, position: '0:1', deduplicated })

export const view = (id: string, more: object = {}) => ({
  id,
  agent: 'a',
  status: 'running',
  attempt: 1,
  stepsCompleted: 0,
  costMicroCredits: 0,
  inputTokens: 0,
  outputTokens: 0,
  options: {},
  createdAt: '2026-01-01T00:00:00.000Z',
  version: 1,
  position: '0:1',
  ...more,
})

export const event = (version: number, type = 'StepCompleted') => ({
  id: `evt_${version}`,
  type,
  version,
  time: '2026-01-01T00:00:00.000Z',
  actor: 'engine',
  position: `0:${version}`,
  data: {},
})
