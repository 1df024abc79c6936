import type { ServerResponse } from 'node:http'
import type { DeltaSubscriber } from '@omium/deltas'
import { type ExecutionRecord, listEvents } from '@omium/projection-executions'
import type { PositionWatch } from '@omium/projection-kit'
import { aggregateKey, type EventView, isTerminal } from '@omium/schemas'
import type { Pool } from 'pg'
import type { Live } from './live.ts'
import { eventViewOf, isTerminalEvent, liveEventView } from './views.ts'

/**
 * One execution's events as server-sent events: history first, then live, without a gap and without a repeat.
 *
 * 1. The subscription begins before history is read, and history is read up to where the live tail then stood; so every
 *    event is in one of the two. Versions drop what is in both, and a jump in versions goes back to history.
 * 2. Ids are versions: `Last-Event-ID` resumes after the last one received.
 * 3. What waits for a slow reader is bounded, in events and in bytes; beyond, the connection is cut and may resume.
 * 4. Live output is shown between events, to readers that keep up; it has no id, and nothing ever waits for it.
 * 5. The stream ends after the execution's terminal event.
 */
export interface EventStreamOptions {
  readonly pool: Pool
  readonly live: Live
  readonly positions: PositionWatch
  /** absent when the reader wants none */
  readonly deltas: DeltaSubscriber | undefined
  readonly tenant: string
  readonly execution: ExecutionRecord
  readonly afterVersion: number
  readonly heartbeatMs: number
  /** how long history may lag behind the live tail before it is sent as far as it is, ms */
  readonly historyWaitMs: number
  /** how long a reader may take to drain what was sent, ms */
  readonly slowReaderMs: number
}

const pageSize = 500
const mostBuffered = 2_000
const mostBytesBuffered = 4 * 1024 * 1024
/** a reader with more than this before it gets no live output */
const mostBytesBeforeDelta = 256 * 1024

export class EventStream {
  readonly #options: EventStreamOptions
  readonly #out: ServerResponse
  readonly #unsubscribe: () => void
  readonly #stopDeltas: (() => void) | undefined
  readonly #heartbeat: NodeJS.Timeout
  #buffer: EventView[] = []
  #sent: number
  #finished = false
  /** history is sent */
  #isLive = false
  #closed = false
  #wake: (() => void) | undefined

  constructor(out: ServerResponse, options: EventStreamOptions) {
    this.#out = out
    this.#options = options
    this.#sent = options.afterVersion
    const { live, deltas, tenant, execution, heartbeatMs } = options
    this.#stopDeltas = deltas?.subscribe(tenant, execution.id, (delta) => {
      if (this.#closed || !this.#isLive || out.writableLength > mostBytesBeforeDelta) return
      out.write(`event: delta\ndata: ${JSON.stringify(delta)}\n\n`)
    })
    this.#unsubscribe = live.subscribe(aggregateKey('execution', tenant, execution.id), (event) => {
      this.#buffer.push(liveEventView(event))
      if (this.#buffer.length > mostBuffered) this.#cut()
      this.#wake?.()
    })
    this.#heartbeat = setInterval(() => {
      if (out.writableLength > mostBytesBuffered) this.#cut()
      else out.write(': heartbeat\n\n')
    }, heartbeatMs)
    out.on('close', () => this.close())
  }

  /** Sends until the terminal event, the reader leaves, or {@link close}. */
  async run(): Promise<void> {
    const { live, positions, execution, historyWaitMs } = this.#options
    try {
      const { partition } = execution
      await positions.reached(partition, live.nextOffset(partition) - 1, historyWaitMs)
      await this.#sendHistory()
      // resumed after the end: what followed it is sent, nothing more will come
      if (isTerminal(execution.status)) return
      this.#isLive = true
      while (!this.#closed && !this.#finished) {
        const events = this.#buffer
        this.#buffer = []
        for (const event of events) await this.#sendLive(event)
        if (this.#buffer.length > 0 || this.#finished || this.#closed) continue
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      this.close()
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#heartbeat)
    this.#unsubscribe()
    this.#stopDeltas?.()
    this.#wake?.()
    this.#out.end()
  }

  /** a reader that does not keep up: it may come back with `Last-Event-ID` */
  #cut(): void {
    this.#out.destroy()
    this.close()
  }

  async #sendHistory(): Promise<void> {
    const { pool, tenant, execution } = this.#options
    for (;;) {
      const events = await listEvents(pool, tenant, execution.id, { afterVersion: this.#sent, limit: pageSize })
      for (const event of events) await this.#send(eventViewOf(event))
      if (events.length < pageSize || this.#closed) return
    }
  }

  async #sendLive(event: EventView): Promise<void> {
    if (event.version <= this.#sent) return
    if (event.version > this.#sent + 1) {
      const { positions, historyWaitMs } = this.#options
      const [partition, offset] = event.position.split(':').map(Number) as [number, number]
      await positions.reached(partition, offset, historyWaitMs)
      await this.#sendHistory()
      if (event.version !== this.#sent + 1) {
        // history still lags: the reader resumes from what it has rather than miss something
        if (event.version > this.#sent) this.#cut()
        return
      }
    }
    await this.#send(event)
  }

  async #send(event: EventView): Promise<void> {
    if (this.#closed) return
    const flushed = this.#out.write(`id: ${event.version}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    this.#sent = event.version
    if (isTerminalEvent(event.type)) this.#finished = true
    if (!flushed) await this.#drained()
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#out.off('drain', done)
        this.#out.off('close', done)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#cut()
        done()
      }, this.#options.slowReaderMs)
      this.#out.on('drain', done)
      this.#out.on('close', done)
    })
  }
}
