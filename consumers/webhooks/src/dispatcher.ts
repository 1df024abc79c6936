import { bySystem, type Clock, type HostedPartition, type Notices, sleep } from '@omium/kit'
import { decideAttempt, type RetryRules } from './domain/attempt.ts'
import type { Endpoint } from './domain/endpoint.ts'
import type { PartitionState } from './machine.ts'
import type { Sender, WebhookMeasures } from './ports.ts'

/**
 * Sends what the endpoints of one owned partition have pending.
 *
 * 1. What is to be sent is derived from accepted state, in {@link settle} only. So whoever takes the partition over sends the same
 *    again: a process that dies between an answer and its event has delivered twice, under one id, and lost nothing.
 * 2. Messages of one endpoint are begun in the order of their requests, so many at a time as `atOnce` says; each goes its own
 *    way afterwards. Endpoints share nothing: one that does not answer holds up nobody but itself.
 */
export interface DispatcherOptions {
  readonly sender: Sender
  readonly rules: RetryRules
  readonly clock: Clock
  readonly notices: Notices
  readonly measures: WebhookMeasures
  /** 0 to 1 */
  readonly random: () => number
}

/** of one endpoint */
const atOnce = 8
/** after what is no outcome of an attempt: the secrets cannot be had */
const pauseMs = 5000

interface Lane {
  readonly sending: Set<string>
  wake: (() => void) | undefined
}

export class Dispatcher {
  readonly #partition: HostedPartition<PartitionState>
  readonly #options: DispatcherOptions
  readonly #lanes = new Map<string, Lane>()

  constructor(partition: HostedPartition<PartitionState>, options: DispatcherOptions) {
    this.#partition = partition
    this.#options = options
  }

  /** For every endpoint when the partition is owned, and whenever one has settled. */
  settle(aggregate: string): void {
    const endpoint = this.#partition.state.endpoints.get(aggregate)
    const lane: Lane = this.#lanes.get(aggregate) ?? { sending: new Set(), wake: undefined }
    lane.wake?.()
    lane.wake = undefined
    if (!this.#partition.live) return
    this.#lanes.set(aggregate, lane)
    if (endpoint) this.#begin(aggregate, endpoint, lane)
    if (lane.sending.size === 0 && !lane.wake) this.#lanes.delete(aggregate)
  }

  /** the partition is lost: nothing more is begun */
  close(): void {
    for (const { wake } of this.#lanes.values()) wake?.()
    this.#lanes.clear()
  }

  #begin(aggregate: string, endpoint: Endpoint, lane: Lane): void {
    const { clock } = this.#options
    const nowMs = clock.nowMs()
    let earliest = Number.POSITIVE_INFINITY
    for (const [messageId, { nextAt }] of endpoint.pending) {
      // the end of any of these looks again
      if (lane.sending.size >= atOnce) return
      if (lane.sending.has(messageId)) continue
      if (nextAt > nowMs) earliest = Math.min(earliest, nextAt)
      else {
        lane.sending.add(messageId)
        void this.#send(aggregate, messageId, lane)
      }
    }
    if (earliest === Number.POSITIVE_INFINITY) return
    // timers take 32 bits of milliseconds; waking early only looks again
    lane.wake = clock.after(Math.min(earliest - nowMs, 2 ** 31 - 1), () => this.settle(aggregate))
  }

  async #send(aggregate: string, messageId: string, lane: Lane): Promise<void> {
    const { sender, rules, clock, notices, measures, random } = this.#options
    try {
      const endpoint = this.#partition.state.endpoints.get(aggregate)
      const pending = endpoint?.pending.get(messageId)
      if (!endpoint || !pending) return
      const outcome = await sender.attempt(endpoint, pending.message)
      const current = this.#partition.state.endpoints.get(aggregate)
      if (!this.#partition.live || !current) return
      const events = decideAttempt(current, messageId, outcome, rules, random())
      if (events.length === 0) return
      await this.#partition.record(aggregate, events, bySystem(current))
      const [first] = events
      if (first?.type === 'WebhookDeliveryAttempted') measures.attempted(first.data.result, outcome.tookMs)
    } catch (err) {
      if (!this.#partition.live) return
      notices.warn({ err, aggregate, messageId }, 'a webhook could not be sent; it is tried again')
      await sleep(clock, pauseMs)
    } finally {
      lane.sending.delete(messageId)
      if (this.#partition.live) this.settle(aggregate)
    }
  }
}
