import type { EngineMessage, Failure, JournalEntry } from '@omium/schemas'
import type { WebSocket } from 'ws'
import type { Assignment, StopReason, WorkerLink } from '../ports.ts'

/**
 * The engine's half of a connection: messages of one turn of the event loop share a frame; frames stay near 1 MiB, so that
 * a long journal does not become one huge string; a peer that does not read is noticed by what the socket still holds.
 */

const frameChars = 1024 * 1024
/** above this much unsent data the peer gets no further runs and is not read from */
const congestedBytes = 8 * 1024 * 1024
/** above this much it is given up */
const hopelessBytes = 128 * 1024 * 1024

export interface OutboundPort {
  /** the peer caught up */
  onRelieved(): void
}

export class Outbound implements WorkerLink {
  readonly #socket: WebSocket
  readonly #port: OutboundPort
  #waiting: string[] = []
  #chars = 0
  #scheduled = false
  #congested = false

  constructor(socket: WebSocket, port: OutboundPort) {
    this.#socket = socket
    this.#port = port
  }

  get congested(): boolean {
    return this.#congested
  }

  send(message: EngineMessage): void {
    this.#push(JSON.stringify(message))
  }

  assign(assignment: Assignment): void {
    const { executionId, attempt, agentId, input, deadlineAt, budgetMicroCredits, journal } = assignment
    const { overrides, simulate, recordings, generation } = assignment
    this.send({
      type: 'assign',
      executionId,
      attempt,
      agentId,
      input,
      ...(deadlineAt !== null && { deadlineAt }),
      ...(budgetMicroCredits !== null && { budgetMicroCredits }),
      journalEntries: journal.length,
      ...(overrides && { overrides }),
      ...(simulate && { simulate }),
      ...(recordings && { recordings: [...recordings] }),
      ...(generation > 0 && { generation }),
    })
    const head = `{"type":"journal","executionId":${JSON.stringify(executionId)},"attempt":${attempt},"entries":[`
    let entries: string[] = []
    let chars = 0
    for (const entry of journal) {
      const text = JSON.stringify(entry)
      if (entries.length > 0 && chars + text.length > frameChars) {
        this.#push(`${head}${entries.join(',')}],"last":false}`)
        entries = []
        chars = 0
      }
      entries.push(text)
      chars += text.length
    }
    this.#push(`${head}${entries.join(',')}],"last":true}`)
  }

  ack(executionId: string, attempt: number, seq: number, entry?: JournalEntry, idempotencyKey?: string): void {
    this.send({
      type: 'ack',
      executionId,
      attempt,
      seq,
      ...(entry && { entry }),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
    })
  }

  nack(executionId: string, attempt: number, seq: number, error: Failure): void {
    this.send({ type: 'nack', executionId, attempt, seq, error })
  }

  resolve(executionId: string, attempt: number, entry: JournalEntry): void {
    this.send({ type: 'resolve', executionId, attempt, entry })
  }

  stop(executionId: string, attempt: number, reason: StopReason): void {
    this.send({ type: 'stop', executionId, attempt, reason })
  }

  drained(): void {
    this.send({ type: 'drained' })
  }

  /** writes what waits now, e.g. before closing */
  flush(): void {
    if (this.#waiting.length === 0) return
    const frame = `[${this.#waiting.join(',')}]`
    this.#waiting = []
    this.#chars = 0
    const { OPEN, readyState } = this.#socket
    if (readyState !== OPEN) return
    this.#socket.send(frame, () => this.#written())
    const { bufferedAmount } = this.#socket
    if (bufferedAmount > hopelessBytes) this.#socket.terminate()
    else if (!this.#congested && bufferedAmount > congestedBytes) {
      this.#congested = true
      this.#socket.pause()
    }
  }

  #written(): void {
    if (!this.#congested || this.#socket.bufferedAmount > congestedBytes / 2) return
    this.#congested = false
    this.#socket.resume()
    this.#port.onRelieved()
  }

  #push(text: string): void {
    if (this.#chars > 0 && this.#chars + text.length > frameChars) this.flush()
    this.#waiting.push(text)
    this.#chars += text.length
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.flush()
    })
  }
}
