import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { OmiumError } from '@omium/schemas'
import type { Registry } from 'prom-client'

/** What a process says about itself: GET /health (it lives), /ready (it can work), /metrics (Prometheus text). */
export interface HealthOptions {
  readonly listen: { readonly host: string; readonly port: number }
  readonly metrics: Pick<Registry, 'metrics' | 'contentType'>
  /** null when ready, otherwise what is missing */
  notReady(): string | null
  /** what else is said of the process */
  details?(): object
}

export interface HealthServer {
  /** for protocols that share the port by upgrading a request */
  readonly http: Server
  readonly port: number
  close(): Promise<void>
}

const answer = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
}

/** @throws OmiumError `unavailable` when the address cannot be listened on */
export const openHealthServer = async ({
  listen,
  metrics,
  notReady,
  details,
}: HealthOptions): Promise<HealthServer> => {
  const http = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (request.method !== 'GET') answer(response, 405, { status: 'method not allowed' })
    else if (path === '/health') answer(response, 200, { status: 'ok', ...details?.() })
    else if (path === '/ready') {
      const missing = notReady()
      if (missing === null) answer(response, 200, { status: 'ready', ...details?.() })
      else answer(response, 503, { status: 'not ready', missing, ...details?.() })
    } else if (path === '/metrics') {
      metrics.metrics().then(
        (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
        () => answer(response, 500, { status: 'metrics failed' }),
      )
    } else answer(response, 404, { status: 'not found' })
  })
  await new Promise<void>((resolve, reject) => {
    http.once('error', (error) =>
      reject(new OmiumError('unavailable', `${listen.host}:${listen.port} cannot be listened on`, { cause: error })),
    )
    http.listen(listen.port, listen.host, resolve)
  })
  return {
    http,
    port: (http.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve())
        http.closeAllConnections()
      }),
  }
}
