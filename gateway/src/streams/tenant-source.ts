import type { AcceptedEvent } from '@omium/log'
import { listTenantCharges, listTenantEvents } from '@omium/projection-executions'
import type { Reads } from '@omium/projection-kit'
import {
  type EventView,
  type FeedName,
  OmiumError,
  type Permission,
  parseAggregateKey,
  type Usage,
} from '@omium/schemas'
import type { GatewayContext } from '../context.ts'
import { eventViewOf, liveChargeView, liveEventView } from '../views.ts'
import type { StreamSource } from './event-stream.ts'
import type { StreamedEvent } from './outlet.ts'

/** offsets of one partition that are searched at a time, and how often for one page */
const window = 5_000
const mostWindows = 40
/** whoever is further behind reads pages first */
const farthestBehind = window * mostWindows

export interface TenantSource extends StreamSource {
  /** where the feed stands, or stands once the event was sent: it goes on after these positions; at first, where it begins */
  after(event?: StreamedEvent): readonly string[]
  /** what there is after where the feed stands, as far as was searched; `isLast`: that was up to where the live tail stood */
  page(limit: number): Promise<{ readonly items: StreamedEvent[]; readonly isLast: boolean }>
  /** to be called when all that the live tail showed was sent: moves on past what is not of this feed */
  caughtUp(): void
}

interface Feed {
  readonly permission: Permission
  /** what it is to policies: as on the route of the same feed */
  readonly kind: string
  readonly history: typeof listTenantEvents
  readonly has: (event: AcceptedEvent) => boolean
  readonly view: (event: AcceptedEvent) => EventView
}

export const feeds: Readonly<Record<FeedName, Feed>> = {
  executions: {
    permission: 'executions:read',
    kind: 'events',
    history: listTenantEvents,
    has: () => true,
    view: liveEventView,
  },
  charges: {
    permission: 'billing:read',
    kind: 'charges',
    history: listTenantCharges,
    has: ({ data }) => Object.keys((data as { usage?: Usage }).usage ?? {}).length > 0,
    view: liveChargeView,
  },
}

const streamedOf = (one: Awaited<ReturnType<typeof listTenantEvents>>[number]): StreamedEvent => ({
  execution: one.executionId,
  event: eventViewOf(one),
})

const offsetOf = ({ event: { position } }: StreamedEvent): [number, number] =>
  position.split(':').map(Number) as [number, number]

export interface FeedOptions {
  readonly feed: FeedName
  /** last position seen of each partition; one that is not named begins now */
  readonly after: readonly string[]
  /** how long history may lag behind the live tail, ms */
  readonly historyWaitMs: number
  /** what is far behind may be read by pages only */
  readonly isLive: boolean
}

/**
 * A feed of a tenant, in log order of each partition; offsets drop repeats, and the live tail leaves no gaps.
 * @throws OmiumError `invalid_request` for a partition that there is not, or too far back
 */
export const tenantSource = (
  { live, positions }: Pick<GatewayContext, 'live' | 'positions'>,
  reads: Reads,
  tenant: string,
  { feed, after, historyWaitMs, isLive }: FeedOptions,
): TenantSource => {
  // no await between here and `follow`: what the tail shows from now on is live, what is before is history
  const begin = Array.from({ length: live.partitionCount }, (_, partition) => live.nextOffset(partition) - 1)
  const sent = [...begin]
  for (const position of after) {
    const [partition, offset] = position.split(':').map(Number) as [number, number]
    const now = begin[partition]
    if (now === undefined) throw new OmiumError('invalid_request', `after: there is no partition ${partition}`)
    if (isLive && now - offset > farthestBehind)
      throw new OmiumError(
        'invalid_request',
        `after: ${position} is too long ago to be streamed; read on by pages, then follow from there`,
      )
    sent[partition] = Math.min(offset, now)
  }
  /** what is between where the feed stands and where the live tail stood, in windows that the read model has */
  async function* ranges() {
    for (const [partition, upTo] of begin.entries()) {
      if ((sent[partition] as number) >= upTo) continue
      if (!(await positions.reached(partition, upTo, historyWaitMs)))
        throw new OmiumError('offset_not_reached', 'the read model lags behind; resume shortly')
      for (let from = sent[partition] as number; from < upTo; from += window)
        yield { partition, after: from, upTo: Math.min(upTo, from + window) }
    }
  }
  const { history, has, view } = feeds[feed]
  return {
    after: (event) => {
      const [of, at] = event ? offsetOf(event) : []
      return sent.map((offset, partition) => `${partition}:${partition === of ? at : offset}`)
    },
    caughtUp: () => {
      for (const [partition, offset] of sent.entries())
        sent[partition] = Math.max(offset, live.nextOffset(partition) - 1)
    },
    follow: (onEvent) => live.subscribeTenant(tenant, (event) => has(event) && onEvent(event)),
    async *history() {
      for await (const range of ranges()) {
        for (const one of await history(reads, tenant, range)) yield streamedOf(one)
        // all of the range was taken
        sent[range.partition] = range.upTo
      }
    },
    async page(limit) {
      const items: StreamedEvent[] = []
      let searched = 0
      for await (const range of ranges()) {
        if (searched++ === mostWindows) return { items, isLast: false }
        for (const one of await history(reads, tenant, range)) {
          if (items.length === limit) return { items, isLast: false }
          items.push(streamedOf(one))
          sent[range.partition] = one.offset
        }
        sent[range.partition] = range.upTo
      }
      return { items, isLast: true }
    },
    view: (event) => ({
      execution: parseAggregateKey(event.envelope.aggregate)?.id ?? '',
      event: view(event),
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
