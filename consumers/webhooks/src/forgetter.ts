import { bySystem, type Clock, type HostedPartition, type Notices, TimerQueue } from '@omium/kit'
import { decideForgetting, forgetsAt } from './domain/forget.ts'
import type { PartitionState } from './machine.ts'

/**
 * Has what ended long ago forgotten, so that lists do not grow for ever.
 *
 * 1. When that is due follows from accepted state: whoever takes the partition over sets the same timers.
 * 2. An endpoint has one timer at a time, whatever happens to it; a timer looks, and looks again later.
 */
export interface ForgetterOptions {
  /** how long what ended is kept, ms */
  readonly keepMs: number
  readonly clock: Clock
  readonly notices: Notices
}

export class Forgetter {
  readonly #partition: HostedPartition<PartitionState>
  readonly #options: ForgetterOptions
  readonly #timers: TimerQueue<string>
  readonly #watched = new Set<string>()

  constructor(partition: HostedPartition<PartitionState>, options: ForgetterOptions) {
    this.#partition = partition
    this.#options = options
    this.#timers = new TimerQueue(options.clock, (aggregate) => this.#look(aggregate))
  }

  /** To be called when the endpoint has settled. */
  settle(aggregate: string): void {
    const endpoint = this.#partition.state.endpoints.get(aggregate)
    if (!endpoint || !this.#partition.live || this.#watched.has(aggregate)) return
    const at = forgetsAt(endpoint, this.#options.keepMs)
    if (at === undefined) return
    this.#watched.add(aggregate)
    this.#timers.add(at, aggregate)
  }

  close(): void {
    this.#timers.removeWhere(() => true)
  }

  #look(aggregate: string): void {
    this.#watched.delete(aggregate)
    const endpoint = this.#partition.state.endpoints.get(aggregate)
    if (!endpoint || !this.#partition.live) return
    const { keepMs, clock, notices } = this.#options
    const events = decideForgetting(endpoint, keepMs, clock.nowMs())
    // what settles sets the next timer
    if (events.length === 0) this.settle(aggregate)
    else
      this.#partition.record(aggregate, events, bySystem(endpoint)).catch((err: unknown) => {
        if (this.#partition.live) notices.warn({ err, aggregate }, 'what ended long ago could not be forgotten')
      })
  }
}
