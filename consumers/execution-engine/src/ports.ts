import type {
  AgentDefinition,
  DeltaView,
  Failure,
  JournalEntry,
  JsonValue,
  Payload,
  Recording,
  RunOverrides,
  WorkerMessage,
} from '@omium/schemas'

/** What the engine needs from its surroundings; composition roots and specs provide it. */

/** Announces what a worker can run; the announcement is a command like any other. */
export interface AgentRegistrar {
  announce(tenant: string, actor: string, agents: readonly AgentDefinition[]): void
}

/** Shows what a step puts out while it runs to whoever watches now; may drop it, never waits. */
export interface LiveOutput {
  publish(tenant: string, executionId: string, delta: DeltaView): void
}

/** What the engine measures as it goes. */
export interface EngineMeasures {
  /** from the moment a run could be handed out to the moment it was, ms */
  dispatched(latencyMs: number): void
  attemptLost(reason: string): void
  requestRefused(code: string): void
}

export interface Assignment {
  readonly executionId: string
  readonly attempt: number
  readonly agentId: string
  readonly input: JsonValue
  readonly deadlineAt: number | null
  readonly budgetMicroCredits: number | null
  readonly journal: readonly JournalEntry[]
  readonly overrides: RunOverrides | null
  readonly simulate: boolean
  readonly recordings: readonly Recording[] | null
  readonly generation: number
}

/** A worker's side of the engine, whatever carries it. Messages arrive in the order of the calls. */
export interface WorkerLink {
  assign(assignment: Assignment): void
  ack(executionId: string, attempt: number, seq: number, entry?: JournalEntry, idempotencyKey?: string): void
  nack(executionId: string, attempt: number, seq: number, error: Failure): void
  resolve(executionId: string, attempt: number, entry: JournalEntry): void
  stop(executionId: string, attempt: number, reason: StopReason): void
  drained(): void
  /** the peer reads too slowly to be given more runs */
  readonly congested: boolean
}
export type StopReason = 'cancelled' | 'paused' | 'timed_out' | 'fenced'

/** Messages about one run. */
export type RunMessage = Exclude<WorkerMessage, { type: 'hello' | 'heartbeat' | 'drain' }>

/** Where values live that are too large for a record. @throws OmiumError retryable when the store is away */
export interface Payloads {
  seal(tenant: string, executionId: string, value: JsonValue): Promise<Payload>
  open(payload: Payload): Promise<JsonValue>
}
