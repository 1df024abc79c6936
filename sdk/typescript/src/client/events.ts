import { type DeltaView, deltaView, type EventView, eventView } from '@omium/schemas'
import { type Http, segment } from './http.ts'
import { messages, type StreamOptions } from './messages.ts'

const terminalEvents: readonly string[] = ['ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled']

export interface EventsOptions extends StreamOptions {
  /** only events with a higher version; 0 for all */
  after?: number
  /** live output of steps too, e.g. tokens of a model: what is put out while nobody listens is not shown later */
  deltas?: boolean
}

/** A piece of what a step puts out while it runs. It is not an event: it has no version and is not kept. */
export interface Delta extends DeltaView {
  readonly type: 'delta'
}

/**
 * Events of an execution, history first, then live, each exactly once and in order; ends after the terminal one. Broken
 * connections are resumed from the last event seen.
 * @throws OmiumError when the gateway refuses for good (`execution_unknown`, `unauthenticated`, ...)
 */
export async function* liveEvents(
  http: Http,
  id: string,
  { after = 0, deltas = false, ...options }: EventsOptions = {},
): AsyncGenerator<EventView | Delta> {
  const path = `/v1/executions/${segment(id)}/events?deltas=${deltas}`
  let lastVersion = after
  for await (const { type, data } of messages(http, path, {
    ...options,
    after: after > 0 ? String(after) : undefined,
  })) {
    if (type === 'delta') {
      const delta = deltaView.safeParse(data)
      if (deltas && delta.success) yield { type: 'delta', ...delta.data }
      continue
    }
    const event = eventView.safeParse(data)
    if (!event.success || event.data.version <= lastVersion) continue
    lastVersion = event.data.version
    yield event.data
    if (terminalEvents.includes(event.data.type)) return
  }
}
