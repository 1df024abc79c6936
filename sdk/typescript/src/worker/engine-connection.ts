import { type EngineMessage, type Failure, OmiumError, type WorkerMessage, workerSubprotocol } from '@omium/schemas'
import type { Logger } from 'pino'
import { type RawData, WebSocket } from 'ws'
import type { Run } from '../replay/run.ts'
import { FrameWriter, parseFrame } from './frames.ts'

type Assign = Extract<EngineMessage, { type: 'assign' }>

export interface ConnectionEvents {
  welcomed(): void
  /** gives the run that is to execute the assignment, not begun */
  assigned(assign: Assign, connection: EngineConnection): Run | undefined
  /** for good: the engine does not want this worker as it is */
  refused(error: Failure): void
  closed(connection: EngineConnection): void
}

const handshakeTimeoutMs = 5000
const maxPayloadBytes = 64 * 1024 * 1024
/** pings that may stay unanswered before the connection is taken for dead */
const maxSilentBeats = 12

/**
 * One WebSocket to one engine, and the runs that it assigned.
 *
 * 1. A run lives and dies with the connection that assigned it: when the socket closes the engine has fenced its attempt.
 * 2. What arrives for an attempt that is not the newest known is dropped.
 * 3. A process that stood still for longer than its lease has lost its runs, whatever the socket still holds: it acts on
 *    nothing that it finds there, e.g. on the permission for an effect that is in doubt by now.
 * 4. Heartbeats go out three times as often as the engine asks for, so that user code may block the event loop for nearly
 *    the whole lease before it is taken for dead.
 */
export class EngineConnection {
  readonly endpoint: string
  readonly runs = new Map<string, Run>()
  drained = false
  private readonly socket: WebSocket
  private readonly events: ConnectionEvents
  private readonly log: Logger
  private readonly frames: FrameWriter
  private heartbeat: NodeJS.Timeout | undefined
  private silentBeats = 0
  private leaseMs = Number.POSITIVE_INFINITY
  private sentAt = performance.now()

  constructor(
    endpoint: string,
    hello: Extract<WorkerMessage, { type: 'hello' }>,
    events: ConnectionEvents,
    log: Logger,
  ) {
    this.endpoint = endpoint
    this.events = events
    this.log = log
    this.socket = new WebSocket(endpoint, workerSubprotocol, {
      perMessageDeflate: false,
      handshakeTimeout: handshakeTimeoutMs,
      maxPayload: maxPayloadBytes,
    })
    this.frames = new FrameWriter(
      (frame) => {
        if (this.socket.readyState !== WebSocket.OPEN) return
        this.sentAt = performance.now()
        this.socket.send(frame)
      },
      (message, error) => {
        if (!('seq' in message)) return
        const { executionId, attempt, seq } = message
        this.handle({ type: 'nack', executionId, attempt, seq, error })
      },
    )
    this.socket.on('open', () => {
      this.frames.push(hello)
      this.frames.flush()
    })
    this.socket.on('message', (data) => this.received(data))
    this.socket.on('pong', () => {
      this.silentBeats = 0
    })
    this.socket.on('error', (error) => this.log.warn({ err: error, endpoint }, 'the connection to an engine failed'))
    this.socket.on('close', () => this.closed())
  }

  get isOpen(): boolean {
    return this.heartbeat !== undefined && this.socket.readyState === WebSocket.OPEN
  }

  send(message: WorkerMessage): void {
    this.frames.push(message)
  }

  close(): void {
    this.frames.flush()
    this.socket.close()
  }

  terminate(): void {
    this.socket.terminate()
  }

  private received(data: RawData): void {
    if (this.hasStoodStill()) return
    try {
      for (const message of parseFrame(data.toString())) this.handle(message)
    } catch (error) {
      this.log.error({ err: error, endpoint: this.endpoint }, 'closing the connection to an engine')
      this.socket.close(1002)
      // an engine that breaks the protocol may not answer the close either
      setTimeout(() => this.socket.terminate(), 1000).unref()
    }
  }

  private handle(message: EngineMessage): void {
    switch (message.type) {
      case 'welcome':
        this.leaseMs = message.leaseMs
        this.startHeartbeat(message.heartbeatIntervalMs)
        this.events.welcomed()
        return
      case 'refused':
        this.events.refused(message.error)
        return
      case 'drained':
        this.drained = true
        return
      case 'assign':
        this.assign(message)
        return
      default: {
        const run = this.runs.get(message.executionId)
        if (run?.attempt === message.attempt) run.receive(message)
      }
    }
  }

  private assign(message: Assign): void {
    const { executionId, attempt } = message
    const older = this.runs.get(executionId)
    if (older && older.attempt >= attempt)
      throw new OmiumError(
        'protocol_violation',
        `attempt ${attempt} of ${executionId} was assigned after ${older.attempt}`,
      )
    older?.end('fenced')
    const run = this.events.assigned(message, this)
    if (run) this.runs.set(executionId, run)
    else this.send({ type: 'abandon', executionId, attempt, detail: `this worker has no agent "${message.agentId}"` })
  }

  private startHeartbeat(intervalMs: number): void {
    const beat = () => {
      if (this.hasStoodStill()) return
      this.frames.push({ type: 'heartbeat' })
      this.frames.flush()
      this.silentBeats += 1
      if (this.silentBeats > maxSilentBeats) this.terminate()
      else this.socket.ping()
    }
    clearInterval(this.heartbeat)
    this.heartbeat = setInterval(beat, Math.max(10, intervalMs / 3))
  }

  /** True when the engine has given this worker up by now: nothing was said for longer than the lease. */
  private hasStoodStill(): boolean {
    const silentMs = performance.now() - this.sentAt
    if (silentMs <= this.leaseMs) return false
    if (this.socket.readyState === WebSocket.OPEN) {
      this.log.warn({ endpoint: this.endpoint, silentMs }, 'the process stood still for longer than its lease')
      this.loseRuns()
      this.terminate()
    }
    return true
  }

  private loseRuns(): void {
    for (const run of [...this.runs.values()]) run.end('fenced')
    this.runs.clear()
  }

  private closed(): void {
    clearInterval(this.heartbeat)
    this.heartbeat = undefined
    this.loseRuns()
    this.events.closed(this)
  }
}
