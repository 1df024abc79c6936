import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request, as far as clients have to agree about it. */
export interface Asked {
  /** `METHOD /path` */
  readonly request: string
  readonly query: Readonly<Record<string, readonly string[]>>
  readonly body: unknown
  readonly hasKey: boolean
  readonly userAgent: string
}

/** what fits every call: a receipt, a page of a list or of a feed, a thread's retention, an execution that has ended */
const answer = {
  items: [],
  id: 'x',
  executionId: 'x',
  position: '0:1',
  deduplicated: false,
  status: 'completed',
  output: null,
  retention: {},
  after: '0:1',
}

/** how much is fetched at once, and what the read model has to have reached: each client's own affair */
const ownAffairs = ['limit', 'min_position', 'wait_ms', 'deltas']

/** A server that takes every request for a good one, and remembers it. */
export const startEcho = async (): Promise<{ url: string; asked: Asked[]; close(): Promise<void> }> => {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://echo')
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    request.once('end', () => {
      const query: Record<string, string[]> = {}
      for (const [name, value] of url.searchParams)
        if (value !== '' && !ownAffairs.includes(name)) query[name] = [...(query[name] ?? []), value]
      const body: unknown = text === '' ? {} : JSON.parse(text)
      asked.push({
        request: `${request.method} ${url.pathname}`,
        query,
        body,
        hasKey: request.headers['idempotency-key'] !== undefined,
        userAgent: request.headers['user-agent'] ?? '',
      })
      // nothing follows in a stream
      if (request.headers.accept === 'text/event-stream') response.writeHead(204).end()
      else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
