import type { AcceptedEvent } from '@omium/log'
import type { Outlet, StreamedEvent } from './outlet.ts'

/**
 * The one way in which events reach a reader, whatever he reads and however: history first, then live, without a gap and
 * without a repeat.
 *
 * 1. Following begins before history is read, and history is read up to where the live tail then stood; so every event is in
 *    one of the two. What is in both is sent once; where something is missing, history is read again.
 * 2. What waits for a slow reader is bounded, in events and in bytes; beyond, he is cut off and may resume.
 * 3. Live output is shown between events, to readers that keep up; nothing ever waits for it.
 */
export interface StreamSource {
  /** events from now on; returns the way to stop */
  follow(onEvent: (event: AcceptedEvent) => void): () => void
  /** what is recorded after what was sent, in order, up to at least where `follow` began or `event` stands */
  history(event?: StreamedEvent): AsyncIterable<StreamedEvent>
  view(event: AcceptedEvent): StreamedEvent
  /** `next`: it goes out now; `sent`: it went out before; `ahead`: something between is missing */
  place(event: StreamedEvent): 'next' | 'sent' | 'ahead'
  sent(event: StreamedEvent): void
  /** nothing follows this event, or what was sent so far */
  isOver(event?: StreamedEvent): boolean
}

export interface StreamBounds {
  /** how long a reader may take to drain what was sent, ms */
  readonly slowReaderMs: number
}

const mostBuffered = 2_000
/** a reader with more than this before it gets no live output */
const mostBytesBeforeDelta = 256 * 1024

export class EventStream {
  readonly #source: StreamSource
  readonly #outlet: Outlet
  readonly #bounds: StreamBounds
  readonly #unfollow: () => void
  #buffer: AcceptedEvent[] = []
  #isLive = false
  #isWaiting = false
  #finished = false
  #closed = false
  #wake: (() => void) | undefined

  constructor(source: StreamSource, outlet: Outlet, bounds: StreamBounds) {
    this.#source = source
    this.#outlet = outlet
    this.#bounds = bounds
    this.#unfollow = source.follow((event) => {
      this.#buffer.push(event)
      if (this.#buffer.length > mostBuffered) this.#cut()
      this.#wake?.()
    })
  }

  /** whether live output may be shown to the reader now */
  get takesDeltas(): boolean {
    return this.#isLive && !this.#closed && this.#outlet.waitingBytes <= mostBytesBeforeDelta
  }

  /** whether everything was sent that the live tail showed so far */
  get isCaughtUp(): boolean {
    return this.#isWaiting && this.#buffer.length === 0
  }

  /** Sends until nothing follows, the reader leaves, or {@link close}. */
  async run(): Promise<void> {
    try {
      await this.#sendHistory()
      this.#finished ||= this.#source.isOver()
      this.#isLive = true
      while (!this.#closed && !this.#finished) {
        const events = this.#buffer
        this.#buffer = []
        for (const event of events) await this.#sendLive(this.#source.view(event))
        if (this.#buffer.length > 0 || this.#finished || this.#closed) continue
        this.#isWaiting = true
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#isWaiting = false
      }
      this.close()
    } catch (error) {
      this.fail(error)
    }
  }

  close(): void {
    if (this.#closed) return
    this.#stop()
    this.#outlet.end()
  }

  /** Its reader may not have it any more. */
  fail(error: unknown): void {
    if (this.#closed) return
    this.#stop()
    this.#outlet.fail(error)
  }

  #stop(): void {
    this.#closed = true
    this.#unfollow()
    this.#buffer = []
    this.#wake?.()
  }

  #cut(): void {
    if (this.#closed) return
    this.#stop()
    this.#outlet.cut()
  }

  async #sendHistory(upTo?: StreamedEvent): Promise<void> {
    for await (const event of this.#source.history(upTo)) {
      if (this.#closed) return
      await this.#send(event)
    }
  }

  async #sendLive(event: StreamedEvent): Promise<void> {
    if (this.#closed || this.#source.place(event) === 'sent') return
    if (this.#source.place(event) === 'ahead') {
      await this.#sendHistory(event)
      const place = this.#source.place(event)
      // history still lags: the reader resumes from what it has rather than miss something
      if (place === 'ahead') this.#cut()
      if (place !== 'next') return
    }
    await this.#send(event)
  }

  async #send(event: StreamedEvent): Promise<void> {
    if (this.#closed || this.#finished) return
    const keepsUp = this.#outlet.event(event)
    this.#source.sent(event)
    if (this.#source.isOver(event)) this.#finished = true
    if (!keepsUp && !(await this.#outlet.drained(this.#bounds.slowReaderMs))) this.#cut()
  }
}
