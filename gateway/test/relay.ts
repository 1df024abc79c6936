import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** The way to a service, which can be cut while the service goes on. */
export interface Relay {
  /** the service's, by this way */
  readonly url: string
  cut(): void
  /** connections stay open, and new ones are taken, but nothing passes */
  stall(): void
  /** undoes both */
  mend(): void
  close(): Promise<void>
}

/** @param service e.g. `http://127.0.0.1:9000` */
export const startRelay = async (service: string): Promise<Relay> => {
  const { hostname, port } = new URL(service)
  const sockets = new Set<Socket>()
  let isCut = false
  let isStalled = false
  const hold = (socket: Socket, other: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      sockets.delete(socket)
      other.destroy()
    })
    socket.on('data', (chunk) => {
      if (!other.write(chunk)) socket.pause()
    })
    other.on('drain', () => isStalled || socket.resume())
    socket.on('end', () => other.end())
    if (isStalled) socket.pause()
  }
  const server = createServer((socket) => {
    if (isCut) return void socket.destroy()
    const there = connect(Number(port), hostname)
    hold(socket, there)
    hold(there, socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(service)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  const end = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: url.href.replace(/\/$/, ''),
    cut() {
      isCut = true
      end()
    },
    stall() {
      isStalled = true
      for (const socket of sockets) socket.pause()
    },
    mend() {
      isCut = false
      isStalled = false
      for (const socket of sockets) socket.resume()
    },
    async close() {
      end()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
