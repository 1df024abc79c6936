import type { Caller, PolicedPart } from '@omium/access'
import { type DeltaView, OmiumError, type StreamMessage, streamCloseCodes, streamRequest } from '@omium/schemas'
import type { FastifyBaseLogger } from 'fastify'
import type { WebSocket } from 'ws'
import { toOmiumError } from '../problems.ts'
import type { CountMessage } from '../rate-limits.ts'
import { requireExecution } from '../reads.ts'
import type { Services } from '../services.ts'
import type { AskedBy } from './asked-by.ts'
import { EventStream } from './event-stream.ts'
import { executionSource } from './execution-source.ts'
import { eventText, type Outlet, type StreamedEvent } from './outlet.ts'
import { askAgain, requirePart } from './standing.ts'
import { feeds, tenantSource } from './tenant-source.ts'

/** What all sessions share. */
interface Shared {
  readonly services: Services
  readonly log: FastifyBaseLogger
  readonly countMessage: CountMessage
}

const mostSubscriptions = 200
/** beyond, the sender waits until the reader has taken some of it */
const highWaterBytes = 512 * 1024

/** messages that are answered at a time */
const mostAtOnce = 16
/** answers that wait for who does not take them */
const mostBytesUntaken = 1024 * 1024

const mostUnanswered = 3
/** how long a peer may take to say goodbye, ms; one that was too slow for what it got may well be slow to hear why */
const closingMs = 2_000
const closingSlowlyMs = 10_000

interface Subscription {
  /** what it is to policies */
  readonly part: PolicedPart
  close(): void
  fail(error: unknown): void
  /** at each heartbeat */
  beat?(): void
}

/**
 * One WebSocket: subscriptions come and go by messages, each is an {@link EventStream} of its own, all share the connection.
 *
 * 1. A message that is not understood is answered with an error and changes nothing.
 * 2. Slowness is the connection's: the first subscription that the reader does not keep up with closes it (4008).
 * 3. Each heartbeat, and what the log says of rights, asks whether the caller may still have what they have: the connection, which
 *    is closed when not (4001; 1001 when nobody can say), then each subscription by itself, which ends with an error.
 * 4. A peer that has answered nothing for some heartbeats is gone.
 * 5. What is asked for counts towards the limits of requests; what is beyond them is refused. Whoever sends more than is done for them waits: nothing is read while so many of their messages are being answered. Whoever
 *    does not take the answers is cut off; the library does so with answers to pings.
 */
export class SocketSession {
  readonly #socket: WebSocket
  readonly #shared: Shared
  readonly #asked: AskedBy
  readonly #subscriptions = new Map<string, Subscription>()
  /** heartbeats since the peer was heard */
  #unanswered = 0
  #closing = false
  #answering = 0
  #caller: Caller

  constructor(socket: WebSocket, shared: Shared, asked: AskedBy) {
    this.#socket = socket
    this.#shared = shared
    this.#asked = asked
    this.#caller = asked.caller
    socket.on('pong', () => {
      this.#unanswered = 0
    })
    socket.on('message', (data, isBinary) => {
      this.#unanswered = 0
      if (!this.#closing && this.#takesAnswers()) void this.#answer(isBinary ? '' : String(data))
    })
    // what breaks the protocol has been answered with its code already
    socket.on('error', () => this.#leave(closingMs))
    socket.on('close', () => this.#stop())
  }

  /** the process ends: whoever listens goes on elsewhere */
  end(): void {
    this.#close(streamCloseCodes.goingAway, 'the gateway ends; resume')
  }

  /** to be called every `heartbeatMs` */
  async beat(): Promise<void> {
    if (this.#closing) return
    if (this.#unanswered++ >= mostUnanswered) return this.#socket.terminate()
    this.#socket.ping()
    this.send({ type: 'heartbeat' })
    for (const subscription of this.#subscriptions.values()) subscription.beat?.()
    await this.askAgain()
  }

  /** Ends what the caller may not have any more. */
  async askAgain(): Promise<void> {
    try {
      this.#caller = (await askAgain(this.#shared.services, this.#asked)) ?? this.#caller
    } catch (error) {
      if (toOmiumError(error).status < 500) this.#close(streamCloseCodes.unauthenticated, 'unauthenticated')
      else this.#close(streamCloseCodes.goingAway, 'rights have changed; resume')
      return
    }
    for (const subscription of [...this.#subscriptions.values()]) {
      try {
        this.#requirePart(subscription.part)
      } catch (error) {
        subscription.fail(error)
      }
    }
  }

  /** @throws OmiumError `forbidden`, `policy_denied` */
  #requirePart(part: PolicedPart): void {
    requirePart(this.#shared.services, this.#asked, this.#caller, part)
  }

  #takesAnswers(): boolean {
    if (this.#socket.bufferedAmount <= mostBytesUntaken) return true
    this.cut()
    this.#socket.pause()
    return false
  }

  async #answer(text: string): Promise<void> {
    if (++this.#answering >= mostAtOnce) this.#socket.pause()
    await this.#receive(text)
    if (--this.#answering < mostAtOnce && !this.#closing) this.#socket.resume()
  }

  async #receive(text: string): Promise<void> {
    let subscription: string | undefined
    try {
      const request = requestOf(text)
      subscription = request.subscription
      if (request.type !== 'unsubscribe') await this.#shared.countMessage(this.#asked)
      if (this.#closing) return
      const known = this.#subscriptions.get(subscription)
      if (request.type === 'unsubscribe') {
        known?.close()
        return
      }
      if (known) {
        // what is wrong is the message; the subscription goes on
        subscription = undefined
        throw new OmiumError('invalid_request', `there is a subscription ${request.subscription} already`)
      }
      if (this.#subscriptions.size >= mostSubscriptions)
        throw new OmiumError('invalid_request', `one connection may have ${mostSubscriptions} subscriptions`)
      await (request.type === 'subscribe' ? this.#subscribe(request) : this.#follow(request))
    } catch (error) {
      this.#refuse(error, subscription)
    }
  }

  async #subscribe({
    subscription,
    execution: id,
    after,
    deltas,
  }: ReturnType<typeof requestOf> & { type: 'subscribe' }) {
    const { services } = this.#shared
    const { tenant } = this.#caller
    const { reads, executions, limits } = services
    const part: PolicedPart = { action: feeds.executions.permission, kind: 'executions', ids: [id] }
    this.#requirePart(part)
    // taken at once: another request for the same name must not come between
    let givenUp: (() => void) | undefined
    const held: Subscription = {
      part,
      close: () => {
        givenUp = () => this.ended(subscription)
      },
      fail: (error) => {
        givenUp = () => this.failed(subscription, error)
      },
    }
    this.#subscriptions.set(subscription, held)
    const execution = await requireExecution(services, tenant, id).catch((error: unknown) => {
      this.#subscriptions.delete(subscription)
      throw error
    })
    if (givenUp) return (givenUp as () => void)()
    const source = executionSource(executions, reads, tenant, execution, after, limits.readWaitMs)
    const outlet = new SubscriptionOutlet(this, subscription)
    const stream = new EventStream(source, outlet, limits)
    const stopDeltas = deltas
      ? services.deltas?.subscribe(tenant, id, (delta) => {
          if (stream.takesDeltas) outlet.delta(id, delta)
        })
      : undefined
    this.send({ type: 'subscribed', subscription })
    this.#run(subscription, part, stream, stopDeltas)
  }

  async #follow({ subscription, feed, after = [] }: ReturnType<typeof requestOf> & { type: 'follow' }) {
    const { services } = this.#shared
    const { tenant } = this.#caller
    const { reads, executions, limits } = services
    const { permission: action, kind } = feeds[feed]
    const part: PolicedPart = { action, kind, ids: [] }
    this.#requirePart(part)
    const source = tenantSource(executions, reads, tenant, {
      feed,
      after,
      historyWaitMs: limits.readWaitMs,
      isLive: true,
    })
    const stream = new EventStream(source, new SubscriptionOutlet(this, subscription), limits)
    let stands = [...source.after()]
    this.send({ type: 'subscribed', subscription, after: stands })
    this.#run(subscription, part, stream, undefined, () => {
      if (!stream.isCaughtUp) return
      source.caughtUp()
      const now = [...source.after()]
      if (now.join() !== stands.join()) this.send({ type: 'position', subscription, after: now })
      stands = now
    })
  }

  #run(
    subscription: string,
    part: PolicedPart,
    stream: EventStream,
    stopDeltas: (() => void) | undefined,
    beat: () => void = () => undefined,
  ): void {
    this.#subscriptions.set(subscription, {
      part,
      close: () => stream.close(),
      fail: (error) => stream.fail(error),
      beat,
    })
    stream.run(stopDeltas)
  }

  get waitingBytes(): number {
    return this.#socket.bufferedAmount
  }

  /** false: the reader is behind */
  sendEvent(subscription: string, { execution, event }: StreamedEvent): boolean {
    const socket = this.#socket
    const name = JSON.stringify(subscription)
    socket.send(`{"type":"event","subscription":${name},"execution":"${execution}","event":${eventText(event)}}`)
    return socket.bufferedAmount < highWaterBytes
  }

  drained(timeoutMs: number): Promise<boolean> {
    const socket = this.#socket
    return new Promise((resolve) => {
      const settle = (drained: boolean) => {
        clearTimeout(timer)
        socket.off('close', gone)
        resolve(drained)
      }
      const gone = () => settle(true)
      const timer = setTimeout(() => settle(false), timeoutMs)
      socket.on('close', gone)
      // its callback comes when everything before it was handed to the network
      socket.ping(undefined, undefined, () => settle(true))
    })
  }

  failed(subscription: string, error: unknown): void {
    this.#subscriptions.delete(subscription)
    this.#refuse(error, subscription)
  }

  ended(subscription: string): void {
    this.#subscriptions.delete(subscription)
    this.send({ type: 'ended', subscription })
  }

  #refuse(thrown: unknown, subscription: string | undefined): void {
    const error = toOmiumError(thrown)
    if (error.status >= 500)
      this.#shared.log.warn({ err: thrown, reqId: this.#asked.id }, 'a subscription broke; its reader resumes')
    this.send({
      type: 'error',
      ...(subscription !== undefined && { subscription }),
      error: new OmiumError(error.code, error.message).toFailure(),
    })
  }

  send(message: StreamMessage): void {
    if (!this.#closing && this.#socket.readyState === this.#socket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  cut(): void {
    this.#close(streamCloseCodes.slowReader, 'slow_reader')
  }

  #close(code: number, reason: string): void {
    if (this.#closing) return
    this.#socket.close(code, reason)
    this.#leave(code === streamCloseCodes.slowReader ? closingSlowlyMs : closingMs)
  }

  /** A peer that takes nothing does not take a goodbye either. */
  #leave(withinMs: number): void {
    this.#stop()
    const timer = setTimeout(() => this.#socket.terminate(), withinMs)
    this.#socket.once('close', () => clearTimeout(timer))
  }

  #stop(): void {
    // that its subscriptions end with it says nothing about the runs
    this.#closing = true
    for (const subscription of this.#subscriptions.values()) subscription.close()
    this.#subscriptions.clear()
  }
}

/** One subscription's way out. */
class SubscriptionOutlet implements Outlet {
  readonly #session: SocketSession
  readonly #subscription: string

  constructor(session: SocketSession, subscription: string) {
    this.#session = session
    this.#subscription = subscription
  }

  get waitingBytes(): number {
    return this.#session.waitingBytes
  }

  event(event: StreamedEvent): boolean {
    return this.#session.sendEvent(this.#subscription, event)
  }

  delta(execution: string, delta: DeltaView): void {
    this.#session.send({ type: 'delta', subscription: this.#subscription, execution, delta })
  }

  drained(timeoutMs: number): Promise<boolean> {
    return this.#session.drained(timeoutMs)
  }

  end(): void {
    this.#session.ended(this.#subscription)
  }

  fail(error: unknown): void {
    this.#session.failed(this.#subscription, error)
  }

  cut(): void {
    this.#session.cut()
  }
}

/** @throws OmiumError `invalid_json`, `invalid_request` */
const requestOf = (text: string) => {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new OmiumError('invalid_json', 'messages are JSON texts')
  }
  const parsed = streamRequest.safeParse(json)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  throw new OmiumError('invalid_request', problems.join('; ').slice(0, 2000))
}
