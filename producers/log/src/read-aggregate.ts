import { eventsTopic } from '@omium/schemas'
import type { AcceptedEvent, LogContext, OpenTail } from './contract.ts'
import { partitionFor } from './partitioning.ts'
import { openTail } from './tail.ts'

/**
 * Reads one aggregate's accepted events up to and including a version, in order, from the log itself: slow, since all of its
 * partition is gone through, exact, and independent of every read model.
 * @returns the version that was reached: a smaller one when the log has no more
 */
export const readAggregate = async (
  context: LogContext,
  { aggregate, version }: { aggregate: string; version: number },
  take: (event: AcceptedEvent) => void,
  open: OpenTail = openTail,
): Promise<number> => {
  const ends = await context.transport.endOffsets(eventsTopic(context.topicPrefix, context.definition.name))
  const partition = partitionFor(aggregate, ends.size)
  const end = ends.get(partition) ?? 0
  let reached = 0
  if (end === 0) return reached
  const tail = await open(context, [{ partition, fromOffset: 0 }], {
    wants: (envelope) => envelope.aggregate === aggregate && envelope.version > 0 && envelope.version <= version,
  })
  try {
    for (let batch = await tail.next(); batch; batch = await tail.next()) {
      for (const event of batch.events) {
        take(event)
        reached = event.envelope.version
      }
      if (reached >= version || batch.nextOffset >= end) break
    }
  } finally {
    await tail.close()
  }
  return reached
}
