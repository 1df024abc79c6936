import type { LogContext, StoredRecord } from '@omium/log'
import { type JsonValue, tenantTopic } from '@omium/schemas'
import { keepFollowing, type Link } from './keep-following.ts'
import type { FollowTopic, Notices, TopicEvent } from './ports.ts'

/**
 * Follows a topic of a tenant, that others write to: JSON values, or text. Without the topic it waits for it. What is named here
 * is always below the tenant's own name, whatever was asked for.
 */
const retryDelayMs = 1_000
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

export const createFollowTopic =
  ({ transport, topicPrefix }: Pick<LogContext, 'transport' | 'topicPrefix'>, notices: Notices): FollowTopic =>
  ({ tenant, name }, from, handlers) => {
    let known: Record<string, number> | null = from && { ...from }
    const follow = async (link: Link): Promise<void> => {
      const topic = tenantTopic(topicPrefix, tenant, name)
      const ends = await transport.endOffsets(topic)
      const starts = await transport.startOffsets(topic)
      if (!known) {
        const atEnd = Object.fromEntries([...ends].map(([partition, end]) => [String(partition), end]))
        await handlers.onStart(atEnd)
        known = atEnd
      }
      const positions = known
      const requests = [...ends.keys()].map((partition) => ({
        topic,
        partition,
        fromOffset: Math.max(positions[partition] ?? 0, starts.get(partition) ?? 0),
      }))
      if (link.closed) return
      const reader = await transport.openReader(requests)
      link.hold(reader)
      for (let batch = await reader.next(); batch && !link.closed; batch = await reader.next()) {
        for (const record of batch.records) {
          await handlers.onEvent(eventOf(name, record))
          positions[record.partition] = record.offset + 1
        }
      }
      if (!link.closed) throw new Error('the reader ended')
    }
    return keepFollowing(follow, {
      retryDelayMs,
      onRetry: (err) => notices.warn({ err, tenant, topic: name }, 'following a topic starts anew'),
    })
  }
