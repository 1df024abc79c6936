import { type Authorship, HostedPartition as Hosted } from '@omium/kit'
import type { Appended } from '@omium/log'
import type { ExecutionEvent } from '@omium/schemas'
import { closesWith, type ExecutionState } from './domain/execution.ts'
import type { LiveRun } from './live-run.ts'
import type { PartitionState } from './machine.ts'

/** What an engine or a worker does to a run carries the run's own chain. */
export const onBehalfOf = (state: ExecutionState, actor: string): Authorship => ({
  tenant: state.tenant,
  actor,
  correlationId: state.correlationId,
})

/** A partition that this process owns, with what the engine holds beside its state. */
export class HostedPartition extends Hosted<PartitionState> {
  /** aggregates that wait in the dispatcher, each once */
  readonly queued = new Set<string>()
  /** live attempts by aggregate */
  readonly runs = new Map<string, LiveRun>()
  /** what aggregates still have to send, by aggregate: the end of each one's queue */
  readonly sending = new Map<string, Promise<void>>()

  execution(aggregate: string): ExecutionState | undefined {
    return this.state.executions.get(aggregate)
  }

  /** Appends events of an execution; sets `closes` on the one after which nothing is left to do. */
  recordExecution(aggregate: string, events: readonly ExecutionEvent[], by: Authorship): Promise<Appended> {
    return this.record(aggregate, events, by, closesWith(this.execution(aggregate), events))
  }
}
