import TinyQueue from 'tinyqueue'

/**
 * Virtual time and a seeded scheduler: everything asynchronous in a simulation is a task here.
 *
 * 1. One task runs at a time, in order of due time, then of scheduling; all promise reactions of a task run before the next.
 * 2. All randomness comes from the seed, so a seed reproduces a run exactly.
 * 3. A task belongs to a process (or to none). A crashed process runs nothing any more, in the middle of whatever await it
 *    stood; a stalled one runs its overdue tasks when it wakes.
 */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0
  }

  /** uniform in [0, 1); mulberry32 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  /** integer in [min, max] */
  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[this.between(0, items.length - 1)] as T
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.between(0, 255))
  }
}

interface Task {
  readonly dueMs: number
  readonly order: number
  readonly run: () => void
}

const dueFirst = (a: Task, b: Task): number => a.dueMs - b.dueMs || a.order - b.order

/** A process of the simulated installation: what stops when it crashes. */
export class Process {
  readonly name: string
  crashed = false
  stalledUntilMs = 0
  /** called once at the crash, e.g. to end its sessions */
  readonly onCrash: (() => void)[] = []

  constructor(name: string) {
    this.name = name
  }
}

export class World {
  nowMs = 0
  readonly random: Random
  readonly #tasks = new TinyQueue<Task>([], dueFirst)
  #order = 0
  #running = false
  #wake: (() => void) | undefined

  constructor(seed: number) {
    this.random = new Random(seed)
  }

  /** Runs `run` after `delayMs` of virtual time, if `process` still lives then; the returned function cancels it. */
  after(delayMs: number, run: () => void, process?: Process): () => void {
    let cancelled = false
    const task = () => {
      if (cancelled || process?.crashed) return
      if (process !== undefined && process.stalledUntilMs > this.nowMs) {
        this.#push(process.stalledUntilMs, task)
        return
      }
      run()
    }
    this.#push(this.nowMs + Math.max(0, Math.round(delayMs)), task)
    this.#wake?.()
    return () => {
      cancelled = true
    }
  }

  crash(process: Process): void {
    if (process.crashed) return
    process.crashed = true
    for (const listener of process.onCrash) listener()
  }

  stall(process: Process, durationMs: number): void {
    process.stalledUntilMs = Math.max(process.stalledUntilMs, this.nowMs + durationMs)
  }

  /** Runs tasks until `done()` or until virtual time passes `untilMs`; false when it stopped without `done`. */
  async runUntil(done: () => boolean, untilMs: number): Promise<boolean> {
    await settled()
    while (!done()) {
      const task = this.#pop(untilMs)
      if (task === undefined) return false
      this.nowMs = Math.max(this.nowMs, task.dueMs)
      task.run()
      await settled()
    }
    return true
  }

  /** Lets virtual time flow as fast as it can, for code that awaits in real time (the contract suite). */
  async runFreely(stopped: () => boolean): Promise<void> {
    if (this.#running) throw new Error('the world runs already')
    this.#running = true
    while (!stopped()) {
      const idle = await this.runUntil(stopped, Number.POSITIVE_INFINITY)
      if (idle) break
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        if (this.#tasks.length > 0) resolve()
      })
      this.#wake = undefined
    }
    this.#running = false
  }

  /** Ends an idle `runFreely` that waits for tasks. */
  wake(): void {
    this.#wake?.()
  }

  #push(dueMs: number, run: () => void): void {
    this.#tasks.push({ dueMs, order: this.#order++, run })
  }

  #pop(untilMs: number): Task | undefined {
    const first = this.#tasks.peek()
    return first === undefined || first.dueMs > untilMs ? undefined : this.#tasks.pop()
  }
}

/** All promise reactions that are ready have run; real time plays no part. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
