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
 * 4. A stream on which nothing happens is at rest: no promise and no frame of a function waits for its next event. There are
 *    many thousands of them.
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
  #state: 'new' | 'sending' | 'at rest' | 'closed' = 'new'
  #hasHistory = false
  #finished = false
  #onEnd: (() => void) | undefined

  constructor(source: StreamSource, outlet: Outlet, bounds: StreamBounds) {
    this.#source = source
    this.#outlet = outlet
    this.#bounds = bounds
    this.#unfollow = source.follow((event) => {
      this.#buffer.push(event)
      if (this.#buffer.length > mostBuffered) this.#cut()
      else if (this.#state === 'at rest') void this.#sendOn()
    })
  }

  /** whether live output may be shown to the reader now */
  get takesDeltas(): boolean {
    return this.#hasHistory && !this.#closed && this.#outlet.waitingBytes <= mostBytesBeforeDelta
  }

  /** whether everything was sent that the live tail showed so far */
  get isCaughtUp(): boolean {
    return this.#state === 'at rest'
  }

  get #closed(): boolean {
    return this.#state === 'closed'
  }

  /** Sends from now on, until nothing follows, the reader leaves, or {@link close}. @param onEnd called then, once */
  run(onEnd?: () => void): void {
    this.#onEnd = onEnd
    if (this.#closed) onEnd?.()
    else void this.#sendOn()
  }

  async #sendOn(): Promise<void> {
    this.#state = 'sending'
    try {
      if (!this.#hasHistory) {
        await this.#sendHistory()
        this.#finished ||= this.#source.isOver()
        this.#hasHistory = true
      }
      while (!this.#closed && !this.#finished && this.#buffer.length > 0) {
        const events = this.#buffer
        this.#buffer = []
        for (const event of events) await this.#sendLive(this.#source.view(event))
      }
      if (this.#finished) this.close()
      else if (!this.#closed) this.#state = 'at rest'
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
    this.#state = 'closed'
    this.#unfollow()
    this.#buffer = []
    this.#onEnd?.()
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
