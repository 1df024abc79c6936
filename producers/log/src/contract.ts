import type { CommandEnvelope, ContextDefinition, ErrorCode, EventEnvelope, IdSource } from '@omium/schemas'
import type { Timers } from './timers.ts'
import type { LogTransport, RawRecord, StoredRecord } from './transport.ts'

/** The public face of the log core towards capabilities: what they give it and what they get. */

export interface Command<D = unknown> {
  readonly envelope: CommandEnvelope
  readonly type: string
  readonly data: D
  readonly partition: number
  readonly offset: number
}

/** An accepted record of an events topic, decoded and lifted to its current version. */
export interface AcceptedEvent<D = unknown> {
  readonly envelope: EventEnvelope
  readonly type: string
  readonly data: D
  readonly partition: number
  readonly offset: number
}

/** Why the shared fold refuses a record. */
export type RejectionReason =
  | 'stale_epoch'
  | 'future_epoch'
  | 'claim_out_of_order'
  | 'version_mismatch'
  | 'command_already_decided'
  | 'malformed'
  | 'parked'
  | 'not_parked'

/** An event that an owner wants to append. The core adds id, aggregate version, epoch and time. */
export interface EventDraft {
  readonly type: string
  readonly data: unknown
  readonly aggregate: string
  readonly tenant: string
  readonly actor: string
  readonly correlationId: string
  readonly commandId?: string
  readonly traceparent?: string
  /** after this event nothing can happen to the aggregate any more: its state may be forgotten, its version is kept for a window */
  readonly closes?: boolean
}

/**
 * The live state of one partition, folded from accepted events. `apply` mutates and is deterministic; it never throws for
 * an event that `decide` functions of the same version can produce. `encode` gives plain JSON for snapshots.
 * `apply` sees the events of aggregates only (not the log's own records, version 0), and always offset -1: an owner applies
 * before the log has given an offset, so a state must not depend on one. It must not keep or change `event.data` by
 * reference where the caller of `append` may still change it.
 */
export interface StateMachine<S> {
  /**
   * Changes whenever `apply`, the encoding or the decoding of events changes. Snapshots of another version are ignored, and
   * aggregates that code of another version has parked are tried again.
   */
  readonly version: number
  empty(): S
  apply(state: S, event: AcceptedEvent): void
  encode(state: S): unknown
  decode(encoded: unknown): S
}

export interface Appended {
  /** offset of the first and last record of this append */
  readonly firstOffset: number
  readonly lastOffset: number
}

export type CommandOutcome =
  | { readonly status: 'accepted' }
  | { readonly status: 'rejected'; readonly code: ErrorCode; readonly detail: string }

/**
 * A partition that this process owns: claimed, folded to its end, fencing every older owner.
 *
 * 1. `state` already includes what `append` was given, accepted or not; so whatever leaves the process (a reply, a
 *    dispatch, a side effect) must wait for the append's promise.
 * 2. Appends are accepted in the order of the calls, all or none of a prefix: if one fails, every later one fails too.
 * 3. A failure means that the partition is lost (`log_fenced`); doubt is resolved inside and only delays.
 */
export interface OwnedPartition<S> {
  readonly partition: number
  readonly epoch: number
  readonly state: S
  /** version of an aggregate, 0 when unknown */
  versionOf(aggregate: string): number
  /** false after the partition was lost; appends then reject with OmiumError `log_fenced` */
  readonly live: boolean
  /**
   * Puts the drafts on the log contiguously; resolves when every record is accepted. Besides `log_fenced` it rejects, without
   * any effect, what could never be accepted: `payload_too_large` (3 MiB in all), `execution_parked`, `record_unfoldable`.
   */
  append(drafts: readonly EventDraft[]): Promise<Appended>
  /**
   * Sends a command to any aggregate of this context; at least once, so give it a deterministic id. Tries for as long as the
   * partition is owned (`log_fenced`); rejects what can never be sent (`invalid_request`, `payload_too_large`).
   */
  send(command: {
    id: string
    type: string
    data: unknown
    aggregate: string
    tenant: string
    actor: string
    correlationId: string
  }): Promise<void>
  /** answers a command that changes nothing with a recorded `CommandRejected`; with its outcome, if it was decided already */
  reject(command: Command, code: ErrorCode, detail: string): Promise<Appended>
}

/** What a capability does with its partitions. */
export interface ContextHandler<S> {
  /** the partition is owned and `state` is current; start what the state asks for (timers, outgoing commands, dispatch) */
  owned(partition: OwnedPartition<S>): void
  /**
   * Decide a command that was never decided before. Must call `append` (with `commandId`) or `reject`, synchronously
   * within the call, and return that promise; the command's offset is committed after it resolves, in order.
   */
  command(partition: OwnedPartition<S>, command: Command): Promise<unknown>
  /** the partition is gone; drop everything of it */
  lost(partition: number): void
}

/** Where snapshots and dead letters go; adapters live outside of the log core. */
export interface SnapshotStore {
  /** newest first; keys sort by offset */
  list(topic: string, partition: number): Promise<readonly { key: string; nextOffset: number }[]>
  load(key: string): Promise<Buffer>
  save(topic: string, partition: number, nextOffset: number, body: Buffer): Promise<void>
  remove(key: string): Promise<void>
}

export interface DeadLetter {
  readonly source: Pick<StoredRecord, 'topic' | 'partition' | 'offset' | 'key' | 'headers' | 'value'>
  readonly code: ErrorCode
  readonly detail: string
  readonly reportedBy: string
}

/** Serialisable state of the shared acceptance fold of one events partition, so that a reader can start in the middle. */
export interface AcceptanceCheckpoint {
  readonly nextOffset: number
  readonly body: Buffer
}

/** Reads accepted events in log order, as projections, gateways, replay tools and live streams do. */
export interface TailBatch {
  readonly partition: number
  readonly events: readonly AcceptedEvent[]
  readonly rejected: readonly { offset: number; reason: RejectionReason; record: StoredRecord }[]
  readonly deadLetters: readonly DeadLetter[]
  readonly nextOffset: number
  readonly endOffset: number
}

export interface TailRequest {
  readonly partition: number
  /** first offset to deliver; acceptance is folded silently from the checkpoint (or from 0) up to it */
  readonly fromOffset: number
  readonly checkpoint?: AcceptanceCheckpoint
}

export interface TailOptions {
  /** Says by the envelope which events are of use here. The others are accepted all the same, but not decoded or delivered. */
  readonly wants?: (envelope: EventEnvelope) => boolean
}

export interface Tail {
  next(): Promise<TailBatch | null>
  /** the fold's state after the last delivered batch of that partition */
  checkpoint(partition: number): AcceptanceCheckpoint
  close(): Promise<void>
}

export type RecordKind = 'event' | 'command'

/** Wire format of records: envelope in headers, payload in Confluent framing. Adapters: schema registry, plain JSON (simulation). */
export interface RecordCodec {
  /**
   * Takes up the context's catalogue, and registers its schemas of the kinds that are to be encoded, transitively backward
   * compatible. To decode nothing has to be registered. Repeated, it costs nothing.
   * @throws OmiumError `schema_incompatible`, `unavailable`
   */
  prepare(context: ContextDefinition, encoded: readonly RecordKind[]): Promise<void>
  encodeEvent(envelope: EventEnvelope, data: unknown): RawRecord
  encodeCommand(envelope: CommandEnvelope, data: unknown): RawRecord
  /** headers only, cheap; undefined when they are not a valid envelope */
  eventEnvelope(record: RawRecord): EventEnvelope | undefined
  commandEnvelope(record: RawRecord): CommandEnvelope | undefined
  /** makes every schema id that occurs in these records known; call before `decode` */
  learn(records: readonly RawRecord[]): Promise<void>
  /** payload lifted to the current version and checked; OmiumError `record_undecodable` otherwise */
  decode(kind: 'event' | 'command', type: string, schemaVersion: number, record: RawRecord): unknown
}

/** What a process needs to take part in a context. */
export interface LogContext {
  readonly transport: LogTransport
  readonly codec: RecordCodec
  readonly definition: ContextDefinition
  readonly topicPrefix: string
  readonly nowMs: () => number
  readonly ids: IdSource
  /** how the core waits; the event loop's own timers unless a simulation decides */
  readonly timers?: Timers
}

export interface OwnerOptions<S> {
  readonly machine: StateMachine<S>
  readonly handler: ContextHandler<S>
  readonly snapshots: SnapshotStore
  /**
   * Take a snapshot of a partition after so many accepted records, and when the process closes. Not when the group takes the
   * partition away: the next owner is reading already, and would find the snapshot too late.
   */
  readonly snapshotEvery: number
  readonly owner: string
  /** advertised in the claim */
  readonly endpoint?: string
  readonly sessionTimeoutMs: number
  /** something an operator should see: fenced, doubt, parked aggregates, dead letters, snapshot troubles */
  readonly onNotice: (notice: {
    level: 'info' | 'warn' | 'error'
    message: string
    fields: Record<string, unknown>
  }) => void
}

/** Member of the context's owner group. */
export interface ContextOwner {
  readonly partitions: readonly number[]
  /** counters for metrics: appended, accepted, rejected (by reason), doubts, claims, parked, deadLetters, requests */
  readonly counters: Readonly<Record<string, number>>
  /** finishes what is in flight, snapshots, leaves the group */
  close(): Promise<void>
}

/** `openOwner`, `openCommandSender`, `openTail` of index.ts have these types. */
export type OpenOwner = <S>(context: LogContext, options: OwnerOptions<S>) => Promise<ContextOwner>

export interface CommandDraft {
  readonly id: string
  readonly type: string
  readonly data: unknown
  readonly aggregate: string
  readonly tenant: string
  readonly actor: string
  readonly correlationId: string
  readonly traceparent?: string
}

/** Puts commands on the log, many in one request. After an error the command may or may not be there: send it again, same id. */
export interface CommandSender {
  send(command: CommandDraft): Promise<{ partition: number; offset: number }>
  close(): Promise<void>
}
export type OpenCommandSender = (context: LogContext) => Promise<CommandSender>
export type OpenTail = (context: LogContext, requests: readonly TailRequest[], options?: TailOptions) => Promise<Tail>
