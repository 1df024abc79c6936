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

/**
 * Any number of moments behind one timer of the event loop: a binary heap, O(log n) to add and to fire. Fires in order of
 * time, then of adding, never before its time.
 */
export class TimerQueue<T> {
  readonly #clock: Clock
  readonly #fire: (item: T) => void
  #heap: Entry<T>[] = []
  #added = 0
  #armedFor = Number.POSITIVE_INFINITY
  #disarm: (() => void) | undefined

  constructor(clock: Clock, fire: (item: T) => void) {
    this.#clock = clock
    this.#fire = fire
  }

  get size(): number {
    return this.#heap.length
  }

  add(at: number, item: T): void {
    this.#heap.push({ at, order: this.#added++, item })
    this.#up(this.#heap.length - 1)
    if (at < this.#armedFor) this.#arm()
  }

  /** forgets what matches; O(n) */
  removeWhere(matches: (item: T) => boolean): void {
    this.#heap = this.#heap.filter((entry) => !matches(entry.item))
    for (let i = (this.#heap.length >> 1) - 1; i >= 0; i--) this.#down(i)
    this.#arm()
  }

  #arm(): void {
    this.#disarm?.()
    this.#disarm = undefined
    const first = this.#heap[0]
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
      for (let first = this.#heap[0]; first && first.at <= now; first = this.#heap[0]) {
        this.#pop()
        this.#fire(first.item)
      }
    } finally {
      this.#arm()
    }
  }

  #pop(): void {
    const last = this.#heap.pop()
    if (last && this.#heap.length > 0) {
      this.#heap[0] = last
      this.#down(0)
    }
  }

  #before(a: number, b: number): boolean {
    const x = this.#heap[a] as Entry<T>
    const y = this.#heap[b] as Entry<T>
    return x.at < y.at || (x.at === y.at && x.order < y.order)
  }

  #swap(a: number, b: number): void {
    const x = this.#heap[a] as Entry<T>
    this.#heap[a] = this.#heap[b] as Entry<T>
    this.#heap[b] = x
  }

  #up(start: number): void {
    let i = start
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!this.#before(i, parent)) return
      this.#swap(i, parent)
      i = parent
    }
  }

  #down(start: number): void {
    let i = start
    for (;;) {
      const left = 2 * i + 1
      if (left >= this.#heap.length) return
      const right = left + 1
      const child = right < this.#heap.length && this.#before(right, left) ? right : left
      if (!this.#before(child, i)) return
      this.#swap(i, child)
      i = child
    }
  }
}
