import type { DeltaView, EventView } from '@omium/schemas'

/** An event and the run that it belongs to. */
export interface StreamedEvent {
  readonly execution: string
  readonly event: EventView
}

/** Where a stream goes: server-sent events, or one subscription of a WebSocket. */
export interface Outlet {
  /** bytes that were given to it and that the reader has not taken */
  readonly waitingBytes: number
  /** false: the reader is behind, wait for {@link drained} before the next one */
  event(event: StreamedEvent): boolean
  delta(execution: string, delta: DeltaView): void
  /** false when the reader has not taken what waits for it within `timeoutMs` */
  drained(timeoutMs: number): Promise<boolean>
  /** everything was sent */
  end(): void
  /** something broke here: the reader may resume */
  fail(error: unknown): void
  /** the reader does not keep up: it is told if that is possible, and may resume */
  cut(): void
}

const texts = new WeakMap<EventView, string>()

/** The event as JSON, made once for all of its readers. */
export const eventText = (event: EventView): string => {
  const known = texts.get(event)
  if (known !== undefined) return known
  const text = JSON.stringify(event)
  texts.set(event, text)
  return text
}
