import { type LogContext, openTail, partitionFor } from '@omium/log'
import { aggregateKey, type ExecutionEvent, eventsTopic, JournalCollector, OmiumError } from '@omium/schemas'
import type { RunHistory } from './ports.ts'
import { journalOf, type OpenPayload } from './run-checkpoints.ts'

/** Histories of runs, read from the execution events topic itself: slow, exact, and independent of every read model. */
export const createRunHistory = (context: LogContext, open: OpenPayload): RunHistory => ({
  async journalAt(tenant, executionId, version) {
    const topic = eventsTopic(context.topicPrefix, context.definition.name)
    const ends = await context.transport.endOffsets(topic)
    const aggregate = aggregateKey('execution', tenant, executionId)
    const partition = partitionFor(aggregate, ends.size)
    const end = ends.get(partition) ?? 0
    const collector = new JournalCollector()
    let reached = 0
    if (end > 0) {
      const tail = await openTail(context, [{ partition, fromOffset: 0 }], {
        wants: (envelope) => envelope.aggregate === aggregate && envelope.version > 0 && envelope.version <= version,
      })
      try {
        for (let batch = await tail.next(); batch; batch = await tail.next()) {
          for (const { envelope, type, data } of batch.events) {
            collector.add({ type, data } as ExecutionEvent)
            reached = envelope.version
          }
          if (reached >= version || batch.nextOffset >= end) break
        }
      } finally {
        await tail.close()
      }
    }
    if (reached < version) {
      throw new OmiumError(
        'execution_unknown',
        `the log has execution ${executionId} up to version ${reached}, not ${version}`,
      )
    }
    return journalOf(collector, open)
  },
})
