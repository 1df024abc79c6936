import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What goes wrong, to which requests (`METHOD /path`, where `*` is one segment), how often. */
export interface Trouble {
  /** the gateway does it, its answer is lost */
  readonly lose?: string | undefined
  /** a stream breaks off after its second event */
  readonly cut?: string | undefined
  /** somebody on the way refuses, with this status */
  readonly refuse?: string | undefined
  readonly status?: number | undefined
  readonly times: number
}

export interface Sent {
  readonly request: string
  readonly idempotencyKey: string | undefined
  readonly lastEventId: string | undefined
}

/** A network between a client and the gateway that misbehaves when it is told to. */
export interface Network {
  readonly url: string
  readonly sent: readonly Sent[]
  calm(): void
  trouble(trouble: Trouble): void
  close(): Promise<void>
}

const eventsBeforeCut = 2

export const fits = (pattern: string, asked: string): boolean => {
  const [parts, given] = [pattern.split('/'), asked.split('/')]
  return parts.length === given.length && parts.every((part, i) => part === '*' || part === given[i])
}

export const startNetwork = async (gatewayUrl: string): Promise<Network> => {
  const gateway = new URL(gatewayUrl)
  const sent: Sent[] = []
  let current: (Trouble & { left: number }) | undefined

  const troubleOf = (asked: string): Trouble | undefined => {
    const pattern = current?.lose ?? current?.cut ?? current?.refuse
    if (!current || pattern === undefined || current.left === 0 || !fits(pattern, asked)) return undefined
    current.left -= 1
    return current
  }

  const pass = (incoming: IncomingMessage, outgoing: ServerResponse, trouble: Trouble | undefined): void => {
    const { method, url: path, headers } = incoming
    const onward = request({ host: gateway.hostname, port: gateway.port, method, path, headers }, (answer) => {
      if (trouble?.lose) {
        answer.resume().once('end', () => incoming.socket.destroy())
        return
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      outgoing.flushHeaders()
      let events = 0
      answer.on('data', (chunk: Buffer) => {
        outgoing.write(chunk)
        events += chunk.toString().split('\ndata:').length - 1
        if (trouble?.cut && events >= eventsBeforeCut) incoming.socket.destroy()
      })
      answer.once('end', () => outgoing.end())
      answer.once('error', () => incoming.socket.destroy())
    })
    onward.once('error', () => incoming.socket.destroy())
    outgoing.once('close', () => onward.destroy())
    incoming.pipe(onward)
  }

  const server = createServer((incoming, outgoing) => {
    const asked = `${incoming.method} ${new URL(incoming.url ?? '/', gateway).pathname}`
    const { 'idempotency-key': key, 'last-event-id': lastEventId } = incoming.headers
    sent.push({ request: asked, idempotencyKey: key?.toString(), lastEventId: lastEventId?.toString() })
    const trouble = troubleOf(asked)
    if (trouble?.refuse === undefined) return pass(incoming, outgoing, trouble)
    incoming.resume()
    outgoing.writeHead(trouble.status ?? 503, { 'content-type': 'text/html' }).end('<h1>upstream is not there</h1>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sent,
    calm: () => {
      current = undefined
      sent.length = 0
    },
    trouble: (trouble) => {
      sent.length = 0
      current = { ...trouble, left: trouble.times }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
