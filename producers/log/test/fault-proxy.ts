import net, { type Socket } from 'node:net'

/**
 * A TCP proxy between a Kafka client and its brokers that knows where protocol frames begin and end, and hurts them.
 *
 * 1. It rewrites nothing: what it forwards is what was sent. Clients reach every broker through `socketFactory`, which
 *    names the advertised address in a line before the first frame.
 * 2. Rules are tried in the order of their making; the first that fits a request decides what becomes of it.
 * 3. A held request reaches the broker only when it is released, on a connection of its own: the ghost of a request
 *    that its sender gave up.
 */

/** Kafka's API keys (kafka.apache.org/protocol#protocol_api_keys), those that specs name. */
export const kafkaApi = {
  produce: 0,
  fetch: 1,
  offsetCommit: 8,
  joinGroup: 11,
  heartbeat: 12,
  initProducerId: 22,
} as const

export interface FaultRule {
  readonly apiKey: number
  /**
   * dropReply: the request takes effect, its reply never comes. delayReply, delayRequest: by `delayMs`.
   * holdRequest: see `held`. cutRequest, cutReply: half of the frame goes through, then both sockets close.
   */
  readonly action: 'dropReply' | 'delayReply' | 'delayRequest' | 'holdRequest' | 'cutRequest' | 'cutReply'
  /** how many requests it applies to; default: every one */
  readonly count?: number
  readonly delayMs?: number
  /** asked for each request that fits, e.g. a seeded coin */
  readonly when?: () => boolean
}

export interface HeldRequest {
  readonly frame: Buffer
  /** sends it to the broker now and returns the reply's frame */
  release(): Promise<Buffer>
}

export interface ActiveRule {
  readonly hits: number
  remove(): void
}

/** Makes sockets that reach `host:port` through the proxy at `proxyPort`; for clients in other processes too. */
export const throughProxy =
  (proxyPort: number) =>
  ({ host, port }: { host: string; port: number }): Socket => {
    const socket = net.connect({ host: '127.0.0.1', port: proxyPort })
    socket.write(`${host} ${port}\n`)
    return socket
  }

export interface FaultProxy {
  readonly port: number
  readonly socketFactory: (address: { host: string; port: number }) => Socket
  readonly held: readonly HeldRequest[]
  add(rule: FaultRule): ActiveRule
  clear(): void
  /** closes every connection that goes through it now */
  cutAll(): void
  close(): Promise<void>
}

const lengthBytes = 4

/** Calls `onFrame` with each whole frame, length included. */
const splitFrames = (onFrame: (frame: Buffer) => void): ((chunk: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (rest.length >= lengthBytes) {
      const end = lengthBytes + rest.readInt32BE(0)
      if (rest.length < end) return
      const frame = rest.subarray(0, end)
      rest = rest.subarray(end)
      onFrame(frame)
    }
  }
}

const apiKeyOf = (request: Buffer) => request.readInt16BE(lengthBytes)
const requestCorrelation = (request: Buffer) => request.readInt32BE(lengthBytes + 4)
const replyCorrelation = (reply: Buffer) => reply.readInt32BE(lengthBytes)

export const startFaultProxy = async (): Promise<FaultProxy> => {
  const rules = new Set<{ rule: FaultRule; left: number; hits: number }>()
  const held: HeldRequest[] = []
  const pairs = new Set<() => void>()
  const timers = new Set<NodeJS.Timeout>()

  const later = (ms: number, act: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      act()
    }, ms)
    timers.add(timer)
  }

  const ruleFor = (request: Buffer): FaultRule | undefined => {
    for (const entry of rules) {
      if (entry.rule.apiKey !== apiKeyOf(request) || entry.left === 0 || entry.rule.when?.() === false) continue
      entry.left--
      entry.hits++
      return entry.rule
    }
    return undefined
  }

  const ghost = (frame: Buffer, target: { host: string; port: number }): HeldRequest => ({
    frame,
    release: () =>
      new Promise((resolve, reject) => {
        const socket = net.connect(target, () => socket.write(frame))
        socket.on(
          'data',
          splitFrames((reply) => {
            socket.destroy()
            resolve(reply)
          }),
        )
        socket.on('error', reject)
        socket.on('close', () => reject(new Error('the broker closed the connection of a released request')))
      }),
  })

  const pipe = (client: Socket, target: { host: string; port: number }) => {
    const broker = net.connect(target)
    broker.setNoDelay(true)
    const replyFaults = new Map<number, FaultRule>()
    const cut = () => {
      client.destroy()
      broker.destroy()
    }
    pairs.add(cut)
    const half = (to: Socket, frame: Buffer) => to.write(frame.subarray(0, Math.ceil(frame.length / 2)), cut)
    const forward = (to: Socket, frame: Buffer) => {
      if (!to.destroyed) to.write(frame)
    }

    const onRequest = splitFrames((frame) => {
      const rule = ruleFor(frame)
      switch (rule?.action) {
        case 'holdRequest':
          held.push(ghost(Buffer.from(frame), target))
          return
        case 'cutRequest':
          half(broker, frame)
          return
        case 'delayRequest':
          later(rule.delayMs ?? 0, () => forward(broker, frame))
          return
        case 'dropReply':
        case 'delayReply':
        case 'cutReply':
          replyFaults.set(requestCorrelation(frame), rule)
      }
      forward(broker, frame)
    })
    const onReply = splitFrames((frame) => {
      const rule = replyFaults.get(replyCorrelation(frame))
      replyFaults.delete(replyCorrelation(frame))
      if (rule?.action === 'dropReply') return
      if (rule?.action === 'cutReply') half(client, frame)
      else if (rule?.action === 'delayReply') later(rule.delayMs ?? 0, () => forward(client, frame))
      else forward(client, frame)
    })
    client.on('data', onRequest)
    broker.on('data', onReply)
    for (const socket of [client, broker]) {
      socket.on('error', cut)
      socket.on('close', () => {
        pairs.delete(cut)
        cut()
      })
    }
    return onRequest
  }

  const server = net.createServer((client) => {
    client.setNoDelay(true)
    let preamble: Buffer = Buffer.alloc(0)
    client.on('error', () => client.destroy())
    const onPreamble = (chunk: Buffer) => {
      preamble = Buffer.concat([preamble, chunk])
      const end = preamble.indexOf('\n')
      if (end < 0) return
      client.off('data', onPreamble)
      const [host, port] = preamble.toString('utf8', 0, end).split(' ')
      const onRequest = pipe(client, { host: String(host), port: Number(port) })
      if (preamble.length > end + 1) onRequest(preamble.subarray(end + 1))
    }
    client.on('data', onPreamble)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as net.AddressInfo

  return {
    held,
    port,
    socketFactory: throughProxy(port),
    add(rule) {
      const entry = { rule, left: rule.count ?? -1, hits: 0 }
      rules.add(entry)
      return {
        get hits() {
          return entry.hits
        },
        remove: () => void rules.delete(entry),
      }
    },
    clear: () => rules.clear(),
    cutAll: () => {
      for (const cut of [...pairs]) cut()
    },
    async close() {
      for (const timer of timers) clearTimeout(timer)
      for (const cut of [...pairs]) cut()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }
}
