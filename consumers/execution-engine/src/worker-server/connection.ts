import type { Notices } from '@omium/kit'
import { type Failure, inlineLimitBytes, OmiumError, workerProtocolVersion } from '@omium/schemas'
import type { RawData, WebSocket } from 'ws'
import { failureOf, type LossReason } from '../domain/decide.ts'
import type { AgentRegistrar, RunMessage } from '../ports.ts'
import { WorkerSession } from '../worker-session.ts'
import type { Admission, Admitted } from './admission.ts'
import { parseWorkerMessage } from './messages.ts'
import { Outbound } from './outbound.ts'
import { mayExceed } from './size.ts'

/** What the server of workers needs from the engine. */
export interface SessionHost {
  connect(session: WorkerSession): void
  disconnect(session: WorkerSession, reason: LossReason): void
  message(session: WorkerSession, message: RunMessage, large: boolean): void
  ready(session: WorkerSession): void
  /** nothing is read from workers while this is so */
  readonly overloaded: boolean
}

export interface ConnectionOptions {
  readonly host: SessionHost
  readonly registrar: AgentRegistrar
  readonly notices: Notices
  readonly admission: Admission
  readonly heartbeatIntervalMs: number
  readonly leaseMs: number
  readonly nowMs: () => number
  readonly newSessionId: () => string
}

/** WebSocket close codes (RFC 6455, section 7.4.1). */
const policyViolation = 1008
const goingAway = 1001

/**
 * One worker's connection.
 *
 * 1. The first message is `hello`, with a protocol that we speak and a token that a gateway signed; before it nothing else
 *    is listened to.
 * 2. A message that cannot be understood is refused on its own when it says which request it is, and ends the connection
 *    when it does not.
 * 3. When what its token stands for is revoked, it ends.
 * 4. When the connection ends, for whatever reason, its attempts are lost at once.
 */
export class Connection {
  readonly #socket: WebSocket
  readonly #options: ConnectionOptions
  readonly #outbound: Outbound
  #session: WorkerSession | undefined
  #admitted: Admitted | undefined
  #lossReason: LossReason = 'disconnected'
  #refused = false
  #held = false
  readonly #bytesRead: () => number
  #bytesSeen = 0
  #lastHeardMs: number

  /** @param bytesRead what arrived on the wire so far, counting messages that are not complete yet */
  constructor(socket: WebSocket, bytesRead: () => number, options: ConnectionOptions) {
    this.#socket = socket
    this.#bytesRead = bytesRead
    this.#options = options
    this.#lastHeardMs = options.nowMs()
    this.#outbound = new Outbound(socket, {
      onRelieved: () => {
        this.#lastHeardMs = options.nowMs()
        if (this.#session) options.host.ready(this.#session)
      },
    })
    socket.on('message', (data, isBinary) => this.#received(data, isBinary))
    socket.on('close', () => this.#closed())
    // the close event follows; what went wrong is told there
    socket.on('error', (error) => options.notices.warn({ err: error, ...this.#who() }, 'a worker connection failed'))
  }

  /**
   * Ends the connection when nothing was heard for longer than its lease. Every byte counts, because a heartbeat may queue
   * behind a large value; a peer that we do not read from cannot be judged.
   * @param graceMs time in which this process was not running
   */
  checkLease(graceMs: number): void {
    const now = this.#options.nowMs()
    const bytes = this.#bytesRead()
    const unread = this.#held || this.#outbound.congested
    this.#lastHeardMs = bytes === this.#bytesSeen && !unread ? this.#lastHeardMs + graceMs : now
    this.#bytesSeen = bytes
    if (now - this.#lastHeardMs <= this.#options.leaseMs) return
    this.#lossReason = 'heartbeat_missed'
    this.#options.notices.warn(this.#who(), 'a worker missed its heartbeats')
    // its attempts are lost now; the close event may take as long as the network wants
    this.#closed()
    this.#socket.terminate()
  }

  /** Stops reading while `on`, so that the peer's own buffers fill and it slows down. */
  hold(on: boolean): void {
    if (on) this.#socket.pause()
    else if (this.#held && !this.#outbound.congested) this.#socket.resume()
    this.#held = on
  }

  /** Ends the connection if what opened it was revoked since; the worker asks its gateway again, which says why not. */
  checkAdmission(): void {
    if (this.#refused || !this.#admitted || !this.#options.admission.isVoid(this.#admitted)) return
    this.#refuse(failureOf('unauthenticated', 'what the token stands for was revoked'))
  }

  /** The engine leaves; the worker finds the new owners through its gateway. */
  goAway(): void {
    this.#outbound.flush()
    this.#socket.close(goingAway, 'the engine is shutting down')
  }

  terminate(): void {
    this.#socket.terminate()
  }

  #received(data: RawData, isBinary: boolean): void {
    if (this.#refused) return
    const bytes = (data as Buffer).length
    let frame: unknown
    try {
      if (isBinary) throw new TypeError('a frame is text')
      frame = JSON.parse((data as Buffer).toString('utf8'))
      if (!Array.isArray(frame)) throw new TypeError('a frame is an array of messages')
    } catch (error) {
      this.#refuse(failureOf('protocol_violation', `a frame cannot be read: ${(error as Error).message}`))
      return
    }
    for (const value of frame as unknown[]) {
      if (this.#refused) return
      this.#handle(value, bytes > inlineLimitBytes && mayExceed(value, inlineLimitBytes))
    }
  }

  #handle(value: unknown, large: boolean): void {
    const parsed = parseWorkerMessage(value)
    const session = this.#session
    if ('problem' in parsed) {
      const failure = failureOf('protocol_violation', parsed.problem)
      if (session && parsed.about) {
        const { executionId, attempt, seq } = parsed.about
        this.#outbound.nack(executionId, attempt, seq, failure)
      } else this.#refuse(failure)
      return
    }
    const { message } = parsed
    if (message.type === 'hello') {
      if (session) this.#refuse(failureOf('protocol_violation', 'hello was said before'))
      else this.#greet(message)
    } else if (!session) this.#refuse(failureOf('protocol_violation', 'the first message is hello'))
    else if (message.type === 'drain') session.drain()
    else if (message.type !== 'heartbeat') this.#deliver(session, message, large)
  }

  /** One worker's message must never end the process that serves all the others. */
  #deliver(session: WorkerSession, message: RunMessage, large: boolean): void {
    try {
      this.#options.host.message(session, message, large)
    } catch (error) {
      this.#options.notices.error({ err: error, ...this.#who(), type: message.type }, 'a message could not be handled')
      this.#refuse(failureOf('internal', `a ${message.type} could not be handled`))
    }
  }

  #greet(hello: Parameters<typeof helloOf>[0]): void {
    const { admission } = this.#options
    if (hello.protocol !== workerProtocolVersion) {
      const detail = `the engine speaks version ${workerProtocolVersion} of the worker protocol, the worker ${hello.protocol}; update the older one`
      this.#refuse(failureOf('protocol_unsupported', detail))
      return
    }
    const refuse = (error: unknown): void => {
      const known = error instanceof OmiumError ? error.toFailure() : null
      this.#refuse(failureOf('unauthenticated', known?.detail ?? 'the token cannot be verified'))
    }
    try {
      const admitted = admission.admit(hello.token)
      if (admitted instanceof Promise) admitted.then((later) => this.#welcome(hello, later), refuse)
      else this.#welcome(hello, admitted)
    } catch (error) {
      refuse(error)
    }
  }

  #welcome(hello: Parameters<typeof helloOf>[0], admitted: Admitted): void {
    if (this.#refused || this.#session || this.#socket.readyState !== this.#socket.OPEN) return
    const { host, registrar, heartbeatIntervalMs, leaseMs, newSessionId, notices } = this.#options
    const session = new WorkerSession(helloOf(hello, admitted.tenant, this.#outbound))
    this.#session = session
    this.#admitted = admitted
    this.#outbound.send({
      type: 'welcome',
      protocol: workerProtocolVersion,
      sessionId: newSessionId(),
      heartbeatIntervalMs,
      leaseMs,
    })
    registrar.announce(admitted.tenant, admitted.actor, hello.agents)
    notices.info({ ...this.#who(), agents: hello.agents.length, slots: hello.slots }, 'a worker connected')
    host.connect(session)
  }

  #refuse(error: Failure): void {
    this.#refused = true
    this.#options.notices.warn({ ...this.#who(), code: error.code, detail: error.detail }, 'a worker was refused')
    this.#outbound.send({ type: 'refused', error })
    this.#outbound.flush()
    this.#socket.close(policyViolation, error.code)
  }

  #closed(): void {
    const session = this.#session
    if (!session || session.closed) return
    this.#options.notices.info({ ...this.#who(), runs: session.runs.size }, 'a worker is gone')
    this.#options.host.disconnect(session, this.#lossReason)
  }

  #who(): Record<string, unknown> {
    return this.#session ? { tenant: this.#session.tenant, worker: this.#session.workerId } : {}
  }
}

const helloOf = (
  hello: { protocol: number; token: string } & Pick<WorkerSession, 'workerId' | 'runtime' | 'agents' | 'slots'>,
  tenant: string,
  link: Outbound,
) => ({
  tenant,
  workerId: hello.workerId,
  runtime: hello.runtime,
  agents: hello.agents,
  slots: hello.slots,
  link,
})
