import type { IncomingMessage, Server } from 'node:http'
import { workerSubprotocol } from '@omium/schemas'
import { WebSocketServer } from 'ws'
import { Connection, type ConnectionOptions } from './connection.ts'

export interface WorkerServerOptions extends ConnectionOptions {
  /** the server whose requests are upgraded */
  readonly http: Server
}

export interface WorkerServer {
  readonly connections: number
  /** tells every worker to go, and cuts off who has not gone after `graceMs` */
  close(graceMs: number): Promise<void>
}

/** several values of the largest size, and what is around them */
const maxFrameBytes = 64 * 1024 * 1024

/**
 * Listens for workers. One timer looks after all leases, and after load; when it fires late, this process was not running, and the time
 * that it lost is not held against anybody.
 */
export const openWorkerServer = (options: WorkerServerOptions): WorkerServer => {
  const { http, leaseMs, nowMs } = options
  const sockets = new WebSocketServer({
    server: http,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(workerSubprotocol) ? workerSubprotocol : false),
    verifyClient: ({ req }: { req: IncomingMessage }) => offers(req, workerSubprotocol),
  })
  const connections = new Map<Connection, Promise<void>>()
  options.admission.onRevoked(() => {
    for (const connection of connections.keys()) connection.checkAdmission()
  })
  sockets.on('connection', (socket, request: IncomingMessage) => {
    socket.binaryType = 'nodebuffer'
    const connection = new Connection(socket, () => request.socket.bytesRead, options)
    const gone = new Promise<void>((resolve) => {
      socket.on('close', () => {
        connections.delete(connection)
        resolve()
      })
    })
    connections.set(connection, gone)
  })

  const checkEveryMs = Math.max(10, leaseMs / 8)
  let lastCheckMs = nowMs()
  const leases = setInterval(() => {
    const now = nowMs()
    const lateMs = now - lastCheckMs - checkEveryMs
    lastCheckMs = now
    const graceMs = lateMs > checkEveryMs ? lateMs : 0
    const { overloaded } = options.host
    for (const connection of connections.keys()) {
      connection.hold(overloaded)
      connection.checkLease(graceMs)
    }
  }, checkEveryMs)

  return {
    get connections() {
      return connections.size
    },
    async close(graceMs) {
      clearInterval(leases)
      sockets.close()
      const gone = [...connections.values()]
      for (const connection of connections.keys()) connection.goAway()
      const deadline = setTimeout(() => {
        for (const connection of connections.keys()) connection.terminate()
      }, graceMs)
      await Promise.all(gone)
      clearTimeout(deadline)
    },
  }
}

const offers = (request: IncomingMessage, subprotocol: string): boolean =>
  (request.headers['sec-websocket-protocol'] ?? '').split(',').some((offered) => offered.trim() === subprotocol)
