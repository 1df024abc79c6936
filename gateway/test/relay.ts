import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** The way to a service, which can be cut while the service goes on. */
export interface Relay {
  /** the service's, by this way */
  readonly url: string
  cut(): void
  mend(): void
  close(): Promise<void>
}

/** @param service e.g. `http://127.0.0.1:9000` */
export const startRelay = async (service: string): Promise<Relay> => {
  const { hostname, port } = new URL(service)
  const sockets = new Set<Socket>()
  let isCut = false
  const hold = (socket: Socket, other: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      sockets.delete(socket)
      other.destroy()
    })
    socket.pipe(other)
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
    mend() {
      isCut = false
    },
    async close() {
      end()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
