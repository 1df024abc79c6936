import TinyQueue from 'tinyqueue'

/** Time as a port, so that specs decide what time it is. */
export interface Clock {
  /** ms since the epoch */
  nowMs(): number
  /** calls `run` once, `delayMs` from now; the returned function cancels it */
  after(delayMs: number, run: () => void): () => void
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
}

interface Entry<T> {
  readonly at: number
  /** keeps entries of the same time in the order of `add` */
  readonly order: number
  readonly item: T
}

/** the longest delay that the event loop's timers take, ms */
const maxDelayMs = 2 ** 31 - 1

const earlierFirst = <T>(a: Entry<T>, b: Entry<T>): number => a.at - b.at || a.order - b.order

/**
 * Any number of moments behind one timer of the event loop, O(log n) to add and to fire. Fires in order of time, then of
 * adding, never before its time.
 */
export class TimerQueue<T> {
  readonly #clock: Clock
  readonly #fire: (item: T) => void
  #moments = new TinyQueue<Entry<T>>([], earlierFirst)
  #added = 0
  #armedFor = Number.POSITIVE_INFINITY
  #disarm: (() => void) | undefined

  constructor(clock: Clock, fire: (item: T) => void) {
    this.#clock = clock
    this.#fire = fire
  }

  get size(): number {
    return this.#moments.length
  }

  add(at: number, item: T): void {
    this.#moments.push({ at, order: this.#added++, item })
    if (at < this.#armedFor) this.#arm()
  }

  /** forgets what matches; O(n) */
  removeWhere(matches: (item: T) => boolean): void {
    const kept = this.#moments.data.filter((entry) => !matches(entry.item))
    this.#moments = new TinyQueue(kept, earlierFirst)
    this.#arm()
  }

  #arm(): void {
    this.#disarm?.()
    this.#disarm = undefined
    const first = this.#moments.peek()
    this.#armedFor = first ? first.at : Number.POSITIVE_INFINITY
    if (!first) return
    const delay = Math.min(maxDelayMs, Math.max(0, first.at - this.#clock.nowMs()))
    this.#disarm = this.#clock.after(delay, () => this.#expired())
  }

  #expired(): void {
    this.#disarm = undefined
    // nothing that `fire` adds may re-arm in between
    this.#armedFor = Number.NEGATIVE_INFINITY
    const now = this.#clock.nowMs()
    try {
      for (let first = this.#moments.peek(); first && first.at <= now; first = this.#moments.peek()) {
        this.#moments.pop()
        this.#fire(first.item)
      }
    } finally {
      this.#arm()
    }
  }
}
