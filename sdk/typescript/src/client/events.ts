import { type DeltaView, deltaView, type EventView, eventView, OmiumError } from '@omium/schemas'
import { createParser } from 'eventsource-parser'
import { either, type Http, pause, reconnectDelayMs, segment } from './http.ts'

const terminalEvents: readonly string[] = ['ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled']
const silenceMs = 45_000

export interface EventsOptions {
  /** only events with a higher version; 0 for all */
  after?: number
  signal?: AbortSignal
  /** a stream that is silent for longer (heartbeats included) is taken for dead, ms */
  silenceMs?: number
  /** live output of steps too, e.g. tokens of a model: what is put out while nobody listens is not shown later */
  deltas?: boolean
}

/** A piece of what a step puts out while it runs. It is not an event: it has no version and is not kept. */
export interface Delta extends DeltaView {
  readonly type: 'delta'
}

/** The execution has finished and all of it has been read. */
class NothingFollows extends Error {}

/** Reads one connection: gives events as they come, until the server ends it or it breaks. */
async function* readConnection(
  http: Http,
  path: string,
  lastId: string | undefined,
  signal: AbortSignal,
  heard: () => void,
): AsyncGenerator<{ id: string | undefined; event: EventView | Delta }> {
  const response = await http.open(path, {
    accept: 'text/event-stream',
    ...(lastId !== undefined && { headers: { 'last-event-id': lastId } }),
    signal,
  })
  if (response.status === 204) throw new NothingFollows()
  const ready: { id: string | undefined; event: EventView | Delta }[] = []
  const parser = createParser({
    onEvent({ id, event: type, data }) {
      if (type === 'delta') {
        const delta = deltaView.safeParse(JSON.parse(data))
        if (delta.success) ready.push({ id: undefined, event: { type: 'delta', ...delta.data } })
        return
      }
      const parsed = eventView.safeParse(JSON.parse(data))
      if (parsed.success) ready.push({ id, event: parsed.data })
    },
  })
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    heard()
    parser.feed(decoder.decode(chunk, { stream: true }))
    yield* ready.splice(0)
  }
}

/**
 * Events of an execution, history first, then live, each exactly once and in order; ends after the terminal one. Broken
 * connections are resumed from the last event seen.
 * @throws OmiumError when the gateway refuses for good (`execution_unknown`, `unauthenticated`, ...)
 */
export async function* liveEvents(
  http: Http,
  id: string,
  options: EventsOptions = {},
): AsyncGenerator<EventView | Delta> {
  const path = `/v1/executions/${segment(id)}/events?deltas=${options.deltas === true}`
  let lastId = options.after ? String(options.after) : undefined
  let lastVersion = options.after ?? 0
  let failures = 0
  const ends = either(options.signal, http.signal)
  while (!ends?.aborted) {
    const watchdog = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const heard = () => {
      clearTimeout(timer)
      timer = setTimeout(() => watchdog.abort(), options.silenceMs ?? silenceMs)
    }
    const signal = ends ? AbortSignal.any([ends, watchdog.signal]) : watchdog.signal
    try {
      heard()
      for await (const { id: eventId, event } of readConnection(http, path, lastId, signal, heard)) {
        failures = 0
        if ('text' in event) {
          if (options.deltas) yield event
          continue
        }
        lastId = eventId ?? String(event.version)
        if (event.version <= lastVersion) continue
        lastVersion = event.version
        yield event
        if (terminalEvents.includes(event.type)) return
      }
    } catch (error) {
      if (ends?.aborted || error instanceof NothingFollows) return
      if (error instanceof OmiumError && !error.retryable) throw error
    } finally {
      clearTimeout(timer)
      watchdog.abort()
    }
    failures += 1
    await pause(reconnectDelayMs(failures), ends).catch(() => {})
  }
}
