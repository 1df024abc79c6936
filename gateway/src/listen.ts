import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** machines without IPv6 have no such address */
const absent = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])

export interface Listening {
  /** of the first address */
  readonly url: string
  /** takes no more connections; those that there are go on */
  stop(): void
}

/**
 * Listens on a host. `localhost` is both loopback addresses, as far as the machine has them: whoever asks for the name is
 * answered by this gateway, never by another program that took the second address. Connections to that one are connections of
 * the same server, so they are counted, drained and upgraded like all others.
 */
export const listen = async (
  app: FastifyInstance,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Listening> => {
  if (host !== 'localhost') return { url: await app.listen({ host, port }), stop: () => undefined }
  const url = await app.listen({ host: '127.0.0.1', port })
  const second = await listenSecond(app, Number(new URL(url).port)).catch(async (error: unknown) => {
    await app.close()
    throw error
  })
  return { url, stop: () => second?.close() }
}

const listenSecond = async (app: FastifyInstance, port: number): Promise<Server | undefined> => {
  // as HTTP servers take connections
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => app.server.emit('connection', socket))
  server.listen({ host: '::1', port, exclusive: true })
  try {
    await once(server, 'listening')
    return server
  } catch (error) {
    if (absent.has((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
