import { type FollowerOptions, type Following, openPast } from '@omium/kit'
import {
  type EventEnvelope,
  type ExecutionEvent,
  eventsTopic,
  type IncidentEvent,
  parseAggregateKey,
} from '@omium/schemas'
import { derive, type Subjects, watchedTypes } from './domain/public-events.ts'
import type { Memory, Telling } from './follow-events.ts'
import type { History } from './ports.ts'

/**
 * Public events of the past, read from the logs themselves: exact, and independent of every read model. Reading begins at a
 * landmark of the follower before the time that is asked for, with what it knew there, and ends soon after that time: what a replay
 * costs follows from its range and from how much has happened since, not from the age of the log.
 */

/** how long after it was decided an event is appended at the latest, while brokers are away; it is never appended before */
const latestAppendMs = 3_600_000

export const createHistory = (
  followings: readonly Following<Memory, Telling>[],
  options: Pick<FollowerOptions, 'store' | 'notices'>,
): History => ({
  async read(tenant, from, to, take) {
    const wants = (envelope: EventEnvelope) => envelope.tenant === tenant && watchedTypes.has(envelope.type)
    for (const following of followings) {
      const { transport, topicPrefix, definition } = following.context
      const topic = eventsTopic(topicPrefix, definition.name)
      const starts = await transport.offsetsSince(topic, from)
      const ends = await transport.offsetsSince(topic, to + latestAppendMs)
      for (const [partition, end] of ends) {
        const offset = starts.get(partition) ?? 0
        if (offset >= end) continue
        const { memory, tail } = await openPast(following, options, { partition, offset }, wants)
        const own = memory?.filter(([aggregate]) => parseAggregateKey(aggregate)?.tenant === tenant)
        const subjects: Subjects = new Map(own)
        try {
          for (let next = 0; next < end; ) {
            const batch = await tail.next()
            if (!batch) throw new Error('the log ended before its end')
            for (const { envelope, type, data } of batch.events) {
              const event = { type, data } as ExecutionEvent | IncidentEvent
              const { id, aggregate, time } = envelope
              for (const told of derive(subjects, { id, aggregate, tenant, time, event }))
                if (time >= from && time < to) await take(told)
            }
            next = batch.nextOffset
          }
        } finally {
          await tail.close()
        }
      }
    }
  },
})
