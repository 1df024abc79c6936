import { bySystem, type Clock, type HostedPartition, TimerQueue } from '@omium/kit'
import { type IdentityContextEvent, platformTenant } from '@omium/schemas'
import type { PartitionState } from './machine.ts'

/**
 * Closes what nobody used in time, so that neither states nor folds keep it for ever.
 *
 * 1. When it is due follows from accepted state: whoever takes the partition over sets the same timers.
 * 2. A timer only looks: what was used meanwhile is not there any more, and stays as it is.
 */
export class Expiry {
  readonly #partition: HostedPartition<PartitionState>
  readonly #timers: TimerQueue<string>

  constructor(partition: HostedPartition<PartitionState>, clock: Clock) {
    this.#partition = partition
    this.#timers = new TimerQueue(clock, (aggregate) => this.#close(aggregate, clock.nowMs()))
  }

  /** To be called when the aggregate's state is settled. */
  watch(aggregate: string): void {
    const due = expiryOf(this.#partition.state, aggregate)
    if (due) this.#timers.add(due.at, aggregate)
  }

  stop(): void {
    this.#timers.removeWhere(() => true)
  }

  #close(aggregate: string, nowMs: number): void {
    if (!this.#partition.live) return
    const due = expiryOf(this.#partition.state, aggregate)
    if (!due || due.at > nowMs) return
    const by = bySystem({ tenant: platformTenant, correlationId: due.correlationId })
    this.#partition.record(aggregate, [due.event], by, true).catch(() => undefined)
  }
}

interface Due {
  readonly at: number
  readonly correlationId: string
  readonly event: IdentityContextEvent
}

/** When an aggregate is over although nobody did anything about it, and what is recorded then. */
const expiryOf = ({ magicLinks, deviceGrants }: PartitionState, aggregate: string): Due | undefined => {
  const link = magicLinks.get(aggregate)
  if (link) return { at: link.expiresAt, correlationId: aggregate, event: { type: 'MagicLinkExpired', data: {} } }
  const grant = deviceGrants.get(aggregate)
  if (!grant) return undefined
  const { expiresAt: at, correlationId } = grant
  return { at, correlationId, event: { type: 'DeviceGrantExpired', data: {} } }
}
