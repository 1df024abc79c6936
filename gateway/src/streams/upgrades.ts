import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type WebSocket, WebSocketServer } from 'ws'

/**
 * Upgrades to WebSockets.
 *
 * 1. One that asks for an upgrade passes through the app as every request does: limits, who it is, what they may. Only the
 *    route's handler takes the connection over.
 * 2. Whoever is answered by HTTP instead has asked for the last time: the connection ends with the answer.
 * 3. A connection that was taken over holds on to neither the request nor the answer that it might have got: there are
 *    thousands of them, and nothing happens on most.
 */
declare module 'fastify' {
  interface FastifyRequest {
    /** the client asks for a WebSocket */
    readonly ws: boolean
  }
}

export interface Upgrades {
  /** The connection is a WebSocket from now on, or was refused as none (400, 405, 426). */
  take(request: FastifyRequest, reply: FastifyReply, opened: (socket: WebSocket) => void): void
}

/** To be called before any route is added. */
export const installUpgrades = (
  app: FastifyInstance,
  { longestMessageBytes }: { readonly longestMessageBytes: number },
): Upgrades => {
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: longestMessageBytes,
  })
  const asking = new WeakMap<IncomingMessage, { readonly socket: Duplex; readonly head: Buffer }>()

  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node has taken its own listener off; until the WebSocket has one, who breaks off is not an error of ours
    socket.on('error', destroy)
    asking.set(request, { socket, head })
    const response = new ServerResponse(request)
    response.assignSocket(request.socket)
    app.routing(request, response)
  })
  app.decorateRequest('ws', {
    getter(this: FastifyRequest) {
      return asking.has(this.raw)
    },
  })
  app.addHook('onResponse', async ({ raw }) => {
    asking.get(raw)?.socket.destroy()
  })
  return {
    take: ({ raw }, reply, opened) => {
      const asked = asking.get(raw)
      if (!asked) throw new TypeError('there is nothing to take over')
      reply.hijack()
      reply.raw.detachSocket(raw.socket)
      asked.socket.off('error', destroy)
      sockets.handleUpgrade(raw, asked.socket, asked.head, opened)
    },
  }
}

function destroy(this: Duplex): void {
  this.destroy()
}
