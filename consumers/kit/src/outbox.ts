import type { OwnedPartition } from '@omium/log'
import type { Notices } from './notices.ts'
import { delayAfter, sleep } from './retry.ts'
import type { Clock } from './timer-queue.ts'

/**
 * Sends what the aggregates of one owned partition owe to others: commands to their own or to other contexts.
 *
 * 1. What is owed is derived from state and never stored, with ids made from what it is about. So whoever takes the
 *    partition over owes the same, sends it again under the same ids, and each has one effect.
 * 2. It is derived in {@link settle} only, when everything that the state holds of the aggregate is accepted.
 * 3. Each aggregate's goes out in order, one at a time, tried again until it is sent, is not owed any more, or the partition
 *    is lost. One that cannot be sent holds up its own aggregate; the others go on.
 * 4. What was sent is not sent again by the same owner for as long as it is owed without a break.
 */
export interface OutboxOptions<S, O extends { readonly id: string }> {
  readonly clock: Clock
  readonly notices: Notices
  /** in the order in which it has to be sent; pure */
  owedBy(state: S, aggregate: string): readonly O[]
  /** resolves when it is on a log, and what is recorded about that is accepted */
  send(aggregate: string, owed: O): Promise<unknown>
}

interface Lane<O> {
  owed: readonly O[]
  readonly sent: Set<string>
  sending: boolean
}

export class Outbox<S, O extends { readonly id: string }> {
  readonly #partition: Pick<OwnedPartition<S>, 'live' | 'state'>
  readonly #options: OutboxOptions<S, O>
  readonly #lanes = new Map<string, Lane<O>>()

  constructor(partition: Pick<OwnedPartition<S>, 'live' | 'state'>, options: OutboxOptions<S, O>) {
    this.#partition = partition
    this.#options = options
  }

  /** aggregates that owe something */
  get size(): number {
    return this.#lanes.size
  }

  /** To be called for every aggregate when the partition is owned, and whenever one has settled. */
  settle(aggregate: string): void {
    const owed = this.#owedBy(aggregate)
    const lane: Lane<O> = this.#lanes.get(aggregate) ?? { owed, sent: new Set(), sending: false }
    lane.owed = owed
    const ids = new Set(owed.map(({ id }) => id))
    for (const id of lane.sent) if (!ids.has(id)) lane.sent.delete(id)
    if (lane.sending) return
    if (owed.length === 0) {
      this.#lanes.delete(aggregate)
      return
    }
    this.#lanes.set(aggregate, lane)
    void this.#sendAll(aggregate, lane)
  }

  #owedBy(aggregate: string): readonly O[] {
    try {
      return this.#options.owedBy(this.#partition.state, aggregate)
    } catch (err) {
      this.#options.notices.error({ err, aggregate }, 'what an aggregate owes cannot be told')
      return []
    }
  }

  async #sendAll(aggregate: string, lane: Lane<O>): Promise<void> {
    const { clock, notices } = this.#options
    lane.sending = true
    for (let failures = 0; this.#partition.live; ) {
      const next = lane.owed.find(({ id }) => !lane.sent.has(id))
      if (!next) break
      try {
        await this.#options.send(aggregate, next)
        if (lane.owed.some(({ id }) => id === next.id)) lane.sent.add(next.id)
        failures = 0
      } catch (err) {
        if (!this.#partition.live) break
        notices.warn({ err, id: next.id, aggregate }, 'what is owed could not be sent; it is tried again')
        await sleep(clock, delayAfter(++failures))
      }
    }
    lane.sending = false
    if (lane.owed.length === 0) this.#lanes.delete(aggregate)
  }
}
