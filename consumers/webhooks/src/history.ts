import { type LogContext, openTail } from '@omium/log'
import { type ExecutionEvent, eventsTopic, type IncidentEvent } from '@omium/schemas'
import { derive, type Subjects, watchedTypes } from './domain/public-events.ts'
import type { History } from './ports.ts'

/**
 * Public events of the past, read from the logs themselves, from their beginnings: slow where they are long, exact, and
 * independent of every read model.
 */
export const createHistory = (contexts: readonly LogContext[]): History => ({
  async read(tenant, from, to, take) {
    for (const context of contexts) {
      const ends = await context.transport.endOffsets(eventsTopic(context.topicPrefix, context.definition.name))
      const unread = new Set([...ends].flatMap(([partition, end]) => (end > 0 ? [partition] : [])))
      if (unread.size === 0) continue
      const requests = [...unread].map((partition) => ({ partition, fromOffset: 0 }))
      const wants = (envelope: { tenant: string; type: string }) =>
        envelope.tenant === tenant && watchedTypes.has(envelope.type)
      const tail = await openTail(context, requests, { wants })
      const subjects: Subjects = new Map()
      try {
        while (unread.size > 0) {
          const batch = await tail.next()
          if (!batch) throw new Error('the log ended before its end')
          for (const { envelope, type, data } of batch.events) {
            const event = { type, data } as ExecutionEvent | IncidentEvent
            const { id, aggregate, time } = envelope
            for (const told of derive(subjects, { id, aggregate, tenant, time, event }))
              if (time >= from && time < to) await take(told)
          }
          if (batch.nextOffset >= (ends.get(batch.partition) ?? 0)) unread.delete(batch.partition)
        }
      } finally {
        await tail.close()
      }
    }
  },
})
