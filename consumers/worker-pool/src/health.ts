import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface PoolStatus {
  readonly ready: boolean
  readonly agents: readonly string[]
  readonly runs: number
  readonly badModules: readonly { readonly module: string; readonly code: string; readonly detail: string }[]
}

/** GET /health answers 200 while the process lives, GET /ready 200 or 503; both say what the pool runs. Loopback only. */
export const startHealthServer = async (
  port: number,
  status: () => PoolStatus,
): Promise<{ readonly port: number; close(): Promise<void> }> => {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    const known = request.method === 'GET' && (path === '/health' || path === '/ready')
    const current = status()
    response.writeHead(known ? (path === '/ready' && !current.ready ? 503 : 200) : 404, {
      'content-type': 'application/json',
    })
    response.end(known ? JSON.stringify(current) : '{}')
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
