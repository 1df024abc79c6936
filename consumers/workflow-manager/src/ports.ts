import type { CommandDraft } from '@omium/log'
import type { JsonValue, Payload } from '@omium/schemas'

/** What the manager needs from its surroundings; the composition root and specs provide it. */

/** Puts a command on a context's log, at least once. @throws OmiumError; the command may be there all the same */
export interface Commands {
  send(command: CommandDraft): Promise<unknown>
}

/** Where values live that are too large for a record. @throws OmiumError, retryable when the store is away */
export interface Payloads {
  seal(tenant: string, executionId: string, value: JsonValue): Promise<Payload>
  open(payload: Payload): Promise<JsonValue>
}

/** Follows something outside for as long as the partition is owned. */
export interface Following {
  close(): Promise<void>
}

export interface TopicEvent {
  readonly partition: number
  readonly offset: number
  readonly event: JsonValue
}
/**
 * Where to begin: at these positions, by partition; without any at what the topic has of this time (ms) or later, wherever and
 * whenever it comes into being.
 */
export interface TopicStart {
  readonly positions: Readonly<Record<string, number>>
  readonly sinceMs: number
}
/** Follows a tenant's topic; `onStart` is told where that began when no positions were known. */
export type FollowTopic = (
  topic: { readonly tenant: string; readonly name: string },
  from: TopicStart,
  handlers: {
    onStart(positions: Record<string, number>): Promise<void>
    onEvent(event: TopicEvent): Promise<void>
  },
) => Following

export interface Measures {
  fired(kind: 'schedule' | 'trigger'): void
  /** from the nominal moment to the record of its firing, ms */
  fireLatency(ms: number): void
  started(): void
}
