import type { LogTransport, StoredRecord } from '@omium/log'
import type { JsonValue } from '@omium/schemas'
import { keepFollowing, type Link } from './keep-following.ts'
import type { FollowTopic, Notices, TopicEvent } from './ports.ts'

/** Follows a topic that others write to: JSON values, or text. Without the topic it waits for it. */
const retryDelayMs = 1_000
/** larger values cannot be what starts a run */
const maxEventBytes = 48 * 1024

const eventOf = ({ topic, partition, offset, key, timestamp, value }: StoredRecord): TopicEvent => {
  const tooLarge = value !== null && value.length > maxEventBytes
  const text = value === null || tooLarge ? null : value.toString('utf8')
  let parsed: JsonValue = text
  try {
    if (text !== null) parsed = JSON.parse(text) as JsonValue
  } catch {
    // text that is not JSON is an event as well
  }
  const event = { topic, partition, offset, key, timestamp, value: parsed, ...(tooLarge && { tooLarge }) }
  return { partition, offset, event }
}

export const createFollowTopic =
  (transport: LogTransport, notices: Notices): FollowTopic =>
  (topic, from, handlers) => {
    let known: Record<string, number> | null = from && { ...from }
    const follow = async (link: Link): Promise<void> => {
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
          await handlers.onEvent(eventOf(record))
          positions[record.partition] = record.offset + 1
        }
      }
      if (!link.closed) throw new Error('the reader ended')
    }
    return keepFollowing(follow, {
      retryDelayMs,
      onRetry: (err) => notices.warn({ err, topic }, 'following a topic starts anew'),
    })
  }
