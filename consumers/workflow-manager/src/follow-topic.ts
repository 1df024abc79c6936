import { type Clock, keepReading, type Notices } from '@omium/kit'
import type { LogContext, StoredRecord } from '@omium/log'
import { type JsonValue, tenantTopic } from '@omium/schemas'
import type { FollowTopic, TopicEvent } from './ports.ts'

/**
 * Follows a topic of a tenant, that others write to: JSON values, or text. Without the topic it waits for it. What is named here
 * is always below the tenant's own name, whatever was asked for.
 */

/** larger values cannot be what starts a run */
const maxEventBytes = 48 * 1024

const eventOf = (name: string, { partition, offset, key, timestamp, value }: StoredRecord): TopicEvent => {
  const tooLarge = value !== null && value.length > maxEventBytes
  const text = value === null || tooLarge ? null : value.toString('utf8')
  let parsed: JsonValue = text
  try {
    if (text !== null) parsed = JSON.parse(text) as JsonValue
  } catch {
    // text that is not JSON is an event as well
  }
  const event = { topic: name, partition, offset, key, timestamp, value: parsed, ...(tooLarge && { tooLarge }) }
  return { partition, offset, event }
}

export interface FollowTopicPort {
  readonly log: Pick<LogContext, 'transport' | 'topicPrefix'>
  readonly clock: Clock
  readonly notices: Notices
}

export const createFollowTopic =
  ({ log: { transport, topicPrefix }, clock, notices }: FollowTopicPort): FollowTopic =>
  ({ tenant, name }, from, handlers) => {
    const positions: Record<string, number> = { ...from.positions }
    let known = Object.keys(positions).length > 0
    return keepReading({
      clock,
      onFailure: (err) => notices.warn({ err, tenant, topic: name }, 'following a topic starts anew'),
      async open() {
        const topic = tenantTopic(topicPrefix, tenant, name)
        const starts = await transport.startOffsets(topic)
        if (!known) {
          const found = await transport.offsetsSince(topic, from.sinceMs)
          const began = Object.fromEntries([...found].map(([partition, offset]) => [String(partition), offset]))
          await handlers.onStart(began)
          Object.assign(positions, began)
          known = true
        }
        const fromOffset = (partition: number): number =>
          Math.max(positions[partition] ?? 0, starts.get(partition) ?? 0)
        return transport.openReader(
          [...starts.keys()].map((partition) => ({ topic, partition, fromOffset: fromOffset(partition) })),
        )
      },
      async take({ records }) {
        for (const record of records) {
          await handlers.onEvent(eventOf(name, record))
          positions[record.partition] = record.offset + 1
        }
      },
    })
  }
