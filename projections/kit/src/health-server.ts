import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'

export interface HealthServerOptions {
  /** 0 takes a free port */
  readonly port: number
  readonly host?: string
  readonly registry: Registry
  /** null when ready, otherwise why not */
  notReady(): string | null
}

/** GET /health (the process lives), /ready (it does its work), /metrics. Loopback only unless told otherwise. */
export const startHealthServer = async ({ port, host = '127.0.0.1', registry, notReady }: HealthServerOptions) => {
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: string, type = 'application/json') =>
      response.writeHead(status, { 'content-type': type }).end(body)
    if (request.url === '/health') return answer(200, '{"status":"ok"}')
    if (request.url === '/ready') {
      const reason = notReady()
      return reason === null
        ? answer(200, '{"status":"ready"}')
        : answer(503, JSON.stringify({ status: 'not_ready', reason }))
    }
    if (request.url === '/metrics') return answer(200, await registry.metrics(), registry.contentType)
    return answer(404, '{"status":"not_found"}')
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
