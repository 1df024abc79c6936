import type { AcceptanceCheckpoint, CommandDraft } from '@omium/log'
import type { JsonValue, Payload } from '@omium/schemas'

/** What the manager needs from its surroundings; the composition root and specs provide it. */

export interface Notices {
  info(fields: Record<string, unknown>, message: string): void
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}

/** Puts commands on the log of executions. */
export interface Executions {
  send(command: CommandDraft): Promise<unknown>
}

/** Where values live that are too large for a record. @throws OmiumError, retryable when the store is away */
export interface Payloads {
  seal(tenant: string, executionId: string, value: JsonValue): Promise<Payload>
  open(payload: Payload): Promise<JsonValue>
}

/** How far the ends of executions were seen, so that the next owner goes on from there. May be behind, never ahead. */
export interface Progress {
  load(partition: number): Promise<AcceptanceCheckpoint | undefined>
  save(partition: number, checkpoint: AcceptanceCheckpoint): Promise<void>
}

/** The end of a run's execution, as its log shows it. */
export interface SeenEnd {
  readonly tenant: string
  readonly workflow: string
  readonly runId: string
  readonly correlationId: string
  readonly data: JsonValue
}

/** Follows something outside for as long as the partition is owned. */
export interface Following {
  close(): Promise<void>
}

/** Follows the ends of the executions that belong to one partition of workflows. */
export type FollowEnds = (partition: number, onEnd: (end: SeenEnd) => Promise<void>) => Following

export interface TopicEvent {
  readonly partition: number
  readonly offset: number
  readonly event: JsonValue
}
/** Follows a tenant's topic from given positions; `null`: from its end, and `onStart` is told where that is. */
export type FollowTopic = (
  topic: { readonly tenant: string; readonly name: string },
  from: Readonly<Record<string, number>> | null,
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
