import { listTenantEvents } from '@omium/projection-executions'
import type { Reads } from '@omium/projection-kit'
import { OmiumError, parseAggregateKey } from '@omium/schemas'
import type { GatewayContext } from '../context.ts'
import { eventViewOf, liveEventView } from '../views.ts'
import type { StreamSource } from './event-stream.ts'
import type { StreamedEvent } from './outlet.ts'

/** offsets of one partition that are searched at a time */
const window = 5_000
/** whoever is further behind reads lists instead */
const farthestBehind = 200_000

export interface TenantSource extends StreamSource {
  /** where the feed begins: it has everything after these positions */
  readonly after: readonly string[]
}

const offsetOf = ({ event: { position } }: StreamedEvent): [number, number] =>
  position.split(':').map(Number) as [number, number]

/**
 * The events of all of a tenant's runs, in log order of each partition; offsets drop repeats, and the live tail leaves no gaps.
 * @param after last position seen of each partition; one that is not named begins now
 * @throws OmiumError `invalid_request` for a partition that there is not, or too far back
 */
export const tenantSource = (
  { live, positions }: Pick<GatewayContext, 'live' | 'positions'>,
  reads: Reads,
  tenant: string,
  after: readonly string[],
  historyWaitMs: number,
): TenantSource => {
  // no await between here and `follow`: what the tail shows from now on is live, what is before is history
  const begin = Array.from({ length: live.partitionCount }, (_, partition) => live.nextOffset(partition) - 1)
  const sent = [...begin]
  for (const position of after) {
    const [partition, offset] = position.split(':').map(Number) as [number, number]
    const now = begin[partition]
    if (now === undefined) throw new OmiumError('invalid_request', `after: there is no partition ${partition}`)
    if (now - offset > farthestBehind)
      throw new OmiumError(
        'invalid_request',
        `after: ${position} is too long ago; read the lists, then follow from now on`,
      )
    sent[partition] = Math.min(offset, now)
  }
  return {
    after: sent.map((offset, partition) => `${partition}:${offset}`),
    follow: (onEvent) => live.subscribeTenant(tenant, onEvent),
    async *history() {
      for (const [partition, upTo] of begin.entries()) {
        if ((sent[partition] as number) >= upTo) continue
        if (!(await positions.reached(partition, upTo, historyWaitMs)))
          throw new OmiumError('offset_not_reached', 'the read model lags behind; resume shortly')
        for (let from = sent[partition] as number; from < upTo; from += window) {
          const range = { partition, after: from, upTo: Math.min(upTo, from + window) }
          for (const one of await listTenantEvents(reads, tenant, range))
            yield { execution: one.executionId, event: eventViewOf(one) }
        }
      }
    },
    view: (event) => ({
      execution: parseAggregateKey(event.envelope.aggregate)?.id ?? '',
      event: liveEventView(event),
    }),
    place: (event) => {
      const [partition, offset] = offsetOf(event)
      return offset <= (sent[partition] as number) ? 'sent' : 'next'
    },
    sent: (event) => {
      const [partition, offset] = offsetOf(event)
      sent[partition] = offset
    },
    isOver: () => false,
  }
}
