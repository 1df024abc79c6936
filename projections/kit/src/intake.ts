import type { AcceptedEvent, Tail, TailBatch } from '@omium/log'
import type { Slice } from './definition.ts'

/**
 * Between the tail and the transactions: reads ahead while a transaction runs, and hands out everything that waits.
 *
 * 1. Batches of a partition leave in the order in which they came, without a gap between one's end and the next's start.
 * 2. At most `2 * maxRecords` events wait (plus one batch); then the tail is not asked for more.
 * 3. A batch grows with the backlog: one event when idle, `maxRecords` when behind.
 */

export interface IntakeOptions {
  readonly maxRecords: number
  /** a checkpoint of a partition's acceptance fold is taken after so many records of it */
  readonly checkpointEvery: number
  /** where each partition starts */
  readonly positions: ReadonlyMap<number, number>
}

interface Waiting {
  readonly batch: TailBatch
  readonly fromOffset: number
  readonly checkpoint: Slice['checkpoint']
}

export class Intake {
  readonly #tail: Tail
  readonly #options: IntakeOptions
  readonly #positions: Map<number, number>
  readonly #sinceCheckpoint = new Map<number, number>()
  readonly #endOffsets = new Map<number, number>()
  #waiting: Waiting[] = []
  #waitingEvents = 0
  #failure: unknown
  #ended = false
  #wakeTaker: (() => void) | undefined
  #wakePump: (() => void) | undefined
  readonly #pump: Promise<void>

  constructor(tail: Tail, options: IntakeOptions) {
    this.#tail = tail
    this.#options = options
    this.#positions = new Map(options.positions)
    this.#pump = this.#run()
  }

  /** end of each partition as last seen; what lag is measured against */
  get endOffsets(): ReadonlyMap<number, number> {
    return this.#endOffsets
  }

  /**
   * Everything that waits, up to `maxRecords`, one slice for each partition. Waits for at least something. `limits` name the
   * offset at which each partition must stop; ask only while one of them is not reached.
   * @returns null after the end
   */
  async take(limits?: ReadonlyMap<number, number>): Promise<Slice[] | null> {
    for (;;) {
      if (this.#failure) throw this.#failure
      const slices = this.#collect(limits)
      if (slices.length > 0) return slices
      if (this.#ended) return null
      await new Promise<void>((resolve) => {
        this.#wakeTaker = resolve
      })
    }
  }

  async close(): Promise<void> {
    this.#ended = true
    this.#wakePump?.()
    this.#wakeTaker?.()
    await this.#tail.close()
    await this.#pump
  }

  #collect(limits: ReadonlyMap<number, number> | undefined): Slice[] {
    const merged = new Map<number, Merged>()
    const left: Waiting[] = []
    const held = new Set<number>()
    let count = 0
    for (const item of this.#waiting) {
      const { partition } = item.batch
      const limit = limits?.get(partition)
      const full = count >= this.#options.maxRecords
      if (full || held.has(partition) || (limits && item.fromOffset >= (limit ?? 0))) {
        held.add(partition)
        left.push(item)
        continue
      }
      const [now, later] = limit !== undefined && item.batch.nextOffset > limit ? cut(item, limit) : [item, undefined]
      if (later) {
        held.add(partition)
        left.push(later)
      }
      count += now.batch.events.length
      const slice = merged.get(partition)
      if (slice) slice.add(now)
      else merged.set(partition, new Merged(now))
    }
    this.#waiting = left
    this.#waitingEvents -= count
    if (this.#waitingEvents < 2 * this.#options.maxRecords) this.#wakePump?.()
    return [...merged.values()].map((slice) => slice.toSlice())
  }

  async #run(): Promise<void> {
    try {
      while (!this.#ended) {
        if (this.#waitingEvents >= 2 * this.#options.maxRecords) {
          await new Promise<void>((resolve) => {
            this.#wakePump = resolve
          })
          continue
        }
        const batch = await this.#tail.next()
        if (!batch) break
        this.#accept(batch)
      }
    } catch (error) {
      if (!this.#ended) this.#failure = error
    }
    this.#ended = true
    this.#wakeTaker?.()
  }

  #accept(batch: TailBatch): void {
    const { partition, nextOffset, endOffset } = batch
    this.#endOffsets.set(partition, endOffset)
    const fromOffset = this.#positions.get(partition) ?? 0
    if (nextOffset <= fromOffset) return
    this.#positions.set(partition, nextOffset)
    const since = (this.#sinceCheckpoint.get(partition) ?? 0) + nextOffset - fromOffset
    const due = since >= this.#options.checkpointEvery
    this.#sinceCheckpoint.set(partition, due ? 0 : since)
    this.#waiting.push({ batch, fromOffset, checkpoint: due ? this.#tail.checkpoint(partition) : undefined })
    this.#waitingEvents += batch.events.length
    this.#wakeTaker?.()
  }
}

class Merged {
  readonly #first: Waiting
  readonly #events: AcceptedEvent[]
  readonly #deadLetters: TailBatch['deadLetters'][number][]
  readonly #rejected: TailBatch['rejected'][number][]
  #last: Waiting
  #checkpoint: Slice['checkpoint']

  constructor(first: Waiting) {
    this.#first = this.#last = first
    this.#events = [...first.batch.events]
    this.#deadLetters = [...first.batch.deadLetters]
    this.#rejected = [...first.batch.rejected]
    this.#checkpoint = first.checkpoint
  }

  add(next: Waiting): void {
    for (const event of next.batch.events) this.#events.push(event)
    for (const deadLetter of next.batch.deadLetters) this.#deadLetters.push(deadLetter)
    for (const rejected of next.batch.rejected) this.#rejected.push(rejected)
    this.#last = next
    this.#checkpoint = next.checkpoint ?? this.#checkpoint
  }

  toSlice(): Slice {
    return {
      partition: this.#first.batch.partition,
      fromOffset: this.#first.fromOffset,
      nextOffset: this.#last.batch.nextOffset,
      events: this.#events,
      deadLetters: this.#deadLetters,
      rejected: this.#rejected,
      ...(this.#checkpoint && { checkpoint: this.#checkpoint }),
    }
  }
}

const cut = ({ batch, fromOffset, checkpoint }: Waiting, at: number): [Waiting, Waiting] => {
  const before = <T>(items: readonly T[], offsetOf: (item: T) => number) => items.filter((item) => offsetOf(item) < at)
  const after = <T>(items: readonly T[], offsetOf: (item: T) => number) => items.filter((item) => offsetOf(item) >= at)
  const event = (item: AcceptedEvent) => item.offset
  const letter = (item: TailBatch['deadLetters'][number]) => item.source.offset
  const reject = (item: TailBatch['rejected'][number]) => item.offset
  return [
    {
      fromOffset,
      checkpoint: undefined,
      batch: {
        ...batch,
        events: before(batch.events, event),
        deadLetters: before(batch.deadLetters, letter),
        rejected: before(batch.rejected, reject),
        nextOffset: at,
      },
    },
    {
      fromOffset: at,
      checkpoint,
      batch: {
        ...batch,
        events: after(batch.events, event),
        deadLetters: after(batch.deadLetters, letter),
        rejected: after(batch.rejected, reject),
      },
    },
  ]
}
