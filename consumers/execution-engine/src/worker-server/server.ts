import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { OmiumError, workerSubprotocol } from '@omium/schemas'
import { WebSocketServer } from 'ws'
import { Connection, type ConnectionOptions } from './connection.ts'

export interface WorkerServerOptions extends ConnectionOptions {
  readonly listen: { readonly host: string; readonly port: number }
}

export interface WorkerServer {
  /** ws:// URL at which workers on this machine reach it */
  readonly url: string
  readonly connections: number
  /** tells every worker to go, and closes what is left after `graceMs` */
  close(graceMs: number): Promise<void>
}

/** several values of the largest size, and what is around them */
const maxFrameBytes = 64 * 1024 * 1024

/**
 * Listens for workers. One timer looks after all leases; when it fires late, this process was not running, and the time
 * that it lost is not held against anybody.
 * @throws OmiumError `unavailable` when the address cannot be listened on
 */
export const openWorkerServer = async (options: WorkerServerOptions): Promise<WorkerServer> => {
  const { listen, leaseMs, nowMs } = options
  const http = createServer((_request, response) => {
    response.writeHead(426, { 'content-type': 'text/plain' }).end('workers connect by WebSocket\n')
  })
  const sockets = new WebSocketServer({
    server: http,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(workerSubprotocol) ? workerSubprotocol : false),
    verifyClient: ({ req }: { req: IncomingMessage }) => offers(req, workerSubprotocol),
  })
  const connections = new Set<Connection>()
  sockets.on('connection', (socket) => {
    socket.binaryType = 'nodebuffer'
    const connection = new Connection(socket, options)
    connections.add(connection)
    socket.on('close', () => connections.delete(connection))
  })

  const checkEveryMs = Math.max(10, leaseMs / 8)
  let lastCheckMs = nowMs()
  const leases = setInterval(() => {
    const now = nowMs()
    const lateMs = now - lastCheckMs - checkEveryMs
    lastCheckMs = now
    for (const connection of connections) {
      if (lateMs > checkEveryMs) connection.lastHeardMs += lateMs
      if (now - connection.lastHeardMs > leaseMs) connection.expire()
    }
  }, checkEveryMs)

  await new Promise<void>((resolve, reject) => {
    http.once('error', (error) => {
      clearInterval(leases)
      reject(
        new OmiumError('unavailable', `workers cannot be served on ${listen.host}:${listen.port}`, { cause: error }),
      )
    })
    http.listen(listen.port, listen.host, resolve)
  })
  const { port } = http.address() as AddressInfo

  return {
    url: `ws://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${port}`,
    get connections() {
      return connections.size
    },
    async close(graceMs) {
      clearInterval(leases)
      const closed = new Promise<void>((resolve) => {
        http.close(() => resolve())
      })
      sockets.close()
      for (const connection of connections) connection.goAway()
      const deadline = setTimeout(() => {
        for (const connection of connections) connection.terminate()
      }, graceMs)
      await closed
      clearTimeout(deadline)
    },
  }
}

const offers = (request: IncomingMessage, subprotocol: string): boolean =>
  (request.headers['sec-websocket-protocol'] ?? '').split(',').some((offered) => offered.trim() === subprotocol)
