import type { Appended, Command, EventDraft, OwnedPartition } from '@omium/log'
import type { ErrorCode, ExecutionContextEvent, ExecutionEvent } from '@omium/schemas'
import { closesWith, type ExecutionState } from './domain/execution.ts'
import type { LiveRun } from './live-run.ts'
import type { PartitionState } from './machine.ts'

/** Who causes events, and in which chain of cause and effect. */
export interface Authorship {
  readonly tenant: string
  readonly actor: string
  readonly correlationId: string
  readonly commandId?: string
  readonly traceparent?: string
}

export const authorOf = (command: Command): Authorship => ({
  tenant: command.envelope.tenant,
  actor: command.envelope.actor,
  correlationId: command.envelope.correlationId,
  commandId: command.envelope.id,
  ...(command.envelope.traceparent !== undefined && { traceparent: command.envelope.traceparent }),
})

/** What an engine or a worker does to a run carries the run's own chain. */
export const onBehalfOf = (state: ExecutionState, actor: string): Authorship => ({
  tenant: state.tenant,
  actor,
  correlationId: state.correlationId,
})

const ignore = (): void => {}

/**
 * A partition that this process owns, as the engine writes to it.
 *
 * 1. The state already holds what was appended; whatever leaves the process waits in {@link whenAccepted} or on the promise.
 * 2. Callbacks run in the order of the log, and never for something that was not accepted.
 */
export class HostedPartition {
  readonly log: OwnedPartition<PartitionState>
  /** aggregates that wait in the dispatcher, each once */
  readonly queued = new Set<string>()
  /** live attempts by aggregate */
  readonly runs = new Map<string, LiveRun>()
  /** what aggregates still have to send, by aggregate: the end of each one's queue */
  readonly sending = new Map<string, Promise<void>>()
  readonly #onFault: (error: unknown) => void
  #last: Promise<unknown> = Promise.resolve()
  #pending = 0

  /** @param onFault a callback of {@link whenAccepted} threw: a defect, which must not end the process */
  constructor(log: OwnedPartition<PartitionState>, onFault: (error: unknown) => void) {
    this.log = log
    this.#onFault = onFault
  }

  /** appends that are neither accepted nor lost yet */
  get pending(): number {
    return this.#pending
  }

  get live(): boolean {
    return this.log.live
  }

  execution(aggregate: string): ExecutionState | undefined {
    return this.log.state.executions.get(aggregate)
  }

  /** Appends events of an execution; sets `closes` on the one after which nothing is left to do. */
  recordExecution(aggregate: string, events: readonly ExecutionEvent[], by: Authorship): Promise<Appended> {
    return this.record(aggregate, events, by, closesWith(this.execution(aggregate), events))
  }

  record(
    aggregate: string,
    events: readonly ExecutionContextEvent[],
    by: Authorship,
    closes = false,
  ): Promise<Appended> {
    const last = events.length - 1
    const drafts: EventDraft[] = []
    for (let i = 0; i <= last; i++) {
      const { type, data } = events[i] as ExecutionContextEvent
      drafts.push(closes && i === last ? { type, data, aggregate, ...by, closes } : { type, data, aggregate, ...by })
    }
    const version = this.log.versionOf(aggregate)
    const append = this.log.append(drafts)
    // What the log did not take at all (it cannot be encoded, its aggregate is parked) holds nothing back.
    if (this.log.versionOf(aggregate) > version) return this.#appended(append)
    append.catch(ignore)
    return append
  }

  /** Answers a command that asks for what is already so. */
  recordDeduplicated(command: Command): Promise<Appended> {
    const { aggregate } = command.envelope
    const data = { commandType: command.type, outcome: 'accepted' }
    return this.#appended(this.log.append([{ type: 'CommandDeduplicated', data, aggregate, ...authorOf(command) }]))
  }

  reject(command: Command, code: ErrorCode, detail: string): Promise<Appended> {
    return this.#appended(this.log.reject(command, code, detail.slice(0, 8192)))
  }

  /** Runs `then` once everything appended so far is accepted; never, when the partition is lost before. */
  whenAccepted(then: () => void): void {
    this.#last.then(then, ignore).catch(this.#onFault)
  }

  readonly #settled = (): void => {
    this.#pending--
  }

  #appended(append: Promise<Appended>): Promise<Appended> {
    this.#last = append
    this.#pending++
    // a lost partition rejects every append; whoever needs to know awaits the promise itself
    append.then(this.#settled, this.#settled)
    return append
  }
}
