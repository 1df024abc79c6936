import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

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

/**
 * What may become of a request and its answer. Before the gateway hears of it: it is `refused` (reset), told that there are too many
 * (`busy`) or that nobody is there (`away`). After the gateway has done it: its answer is `lost`, the connection is `reset`, `half`
 * of the answer comes, or it comes too `late`.
 */
export const early = ['refused', 'busy', 'away'] as const
export const late = ['lost', 'reset', 'half', 'late'] as const
export type Mishap = (typeof early)[number] | (typeof late)[number]

export interface Sent {
  readonly request: string
  readonly idempotencyKey: string | undefined
  readonly lastEventId: string | undefined
  readonly mishap: Mishap | undefined
  /** the gateway's, whether it arrived or not */
  answer?: { readonly status: number; readonly text: string }
}

/** A network between a client and the gateway that misbehaves when it is told to. */
export interface Network {
  readonly url: string
  readonly sent: readonly Sent[]
  calm(): void
  trouble(trouble: Trouble): void
  /** The next changes meet these, one after the other. */
  mishaps(kinds: readonly Mishap[]): void
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

  let ahead: Mishap[] = []
  /** what was asked last is done: its answer comes late because of us, and not because the gateway still works on it */
  let done = Promise.resolve()

  /** lets a change through, and does to its answer what is to become of it */
  const mistreat = (incoming: IncomingMessage, outgoing: ServerResponse, one: Sent): void => {
    const { method, url: path, headers, socket } = incoming
    const { mishap } = one
    if (mishap === 'refused') return void socket.resetAndDestroy()
    if (mishap === 'busy' || mishap === 'away') {
      incoming.resume()
      outgoing.writeHead(mishap === 'busy' ? 429 : 503, { 'content-type': 'text/html', 'retry-after': '0' }).end('<h1>')
      return
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const before = done
    done = promise
    const onward = request({ host: gateway.hostname, port: gateway.port, method, path, headers }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.once('close', resolve)
      answer.once('end', () => {
        const body = Buffer.concat(chunks)
        one.answer = { status: answer.statusCode ?? 502, text: body.toString() }
        if (mishap === 'late') return
        if (mishap === 'lost') return void socket.destroy()
        if (mishap === 'reset') return void socket.resetAndDestroy()
        outgoing.writeHead(one.answer.status, { ...answer.headers, 'content-length': body.length })
        if (mishap === undefined) return void outgoing.end(body)
        outgoing.write(body.subarray(0, body.length / 2), () => socket.end())
      })
    })
    onward.once('error', () => {
      resolve()
      socket.destroy()
    })
    // read at once: whoever asked may be gone when it is passed on
    Promise.all([buffer(incoming), before]).then(
      ([body]) => onward.end(body),
      (error: Error) => onward.destroy(error),
    )
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
    const mishap = incoming.method === 'GET' ? undefined : ahead.shift()
    const one: Sent = {
      request: asked,
      idempotencyKey: key?.toString(),
      lastEventId: lastEventId?.toString(),
      mishap,
    }
    sent.push(one)
    if (incoming.method !== 'GET' && !current) return mistreat(incoming, outgoing, one)
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
      ahead = []
      sent.length = 0
    },
    mishaps: (kinds) => {
      current = undefined
      sent.length = 0
      ahead = [...kinds]
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
