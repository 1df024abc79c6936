import { type ExecutionRecord, listEvents } from '@omium/projection-executions'
import type { Reads } from '@omium/projection-kit'
import { aggregateKey, isTerminal } from '@omium/schemas'
import type { GatewayContext } from '../context.ts'
import { eventViewOf, isTerminalEvent, liveEventView } from '../views.ts'
import type { StreamSource } from './event-stream.ts'

const pageSize = 500

/** The events of one run after a version; versions close gaps and drop repeats. It is over after the run's terminal event. */
export const executionSource = (
  { live, positions }: Pick<GatewayContext, 'live' | 'positions'>,
  reads: Reads,
  tenant: string,
  execution: ExecutionRecord,
  afterVersion: number,
  /** how long history may lag behind the live tail before it is sent as far as it is, ms */
  historyWaitMs: number,
): StreamSource => {
  const { id, partition } = execution
  let sent = afterVersion
  return {
    follow: (onEvent) => live.subscribe(aggregateKey('execution', tenant, id), onEvent),
    async *history(event) {
      const upTo = event ? Number(event.event.position.split(':')[1]) : live.nextOffset(partition) - 1
      await positions.reached(partition, upTo, historyWaitMs)
      for (;;) {
        const events = await listEvents(reads, tenant, id, { afterVersion: sent, limit: pageSize })
        for (const one of events) yield { execution: id, event: eventViewOf(one) }
        if (events.length < pageSize) return
      }
    },
    view: (event) => ({ execution: id, event: liveEventView(event) }),
    place: ({ event: { version } }) => (version <= sent ? 'sent' : version === sent + 1 ? 'next' : 'ahead'),
    sent: ({ event }) => {
      sent = event.version
    },
    // resumed after the end: what followed it is sent, nothing more will come
    isOver: (event) => (event ? isTerminalEvent(event.event.type) : isTerminal(execution.status)),
  }
}
