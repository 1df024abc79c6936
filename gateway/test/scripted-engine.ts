import {
  type AcceptedEvent,
  type Command,
  type ContextHandler,
  type ContextOwner,
  type EventDraft,
  type LogContext,
  type OwnedPartition,
  openOwner,
  partitionFor,
  type SnapshotStore,
} from '@omium/log'
import { aggregateKey, type ExecutionContextCommand, type ExecutionContextEvent } from '@omium/schemas'

/**
 * An owner of the execution context that does what the spec tells it: it accepts starts and signals, refuses what it knows
 * to be wrong, and writes the events that a run would. Not the engine; a stand-in behind the real log.
 */
interface Run {
  requestHash: string
  finished: boolean
}
type Runs = Map<string, Run>

const noSnapshots: SnapshotStore = {
  list: async () => [],
  load: () => Promise.reject(new Error('there are no snapshots')),
  save: async () => undefined,
  remove: async () => undefined,
}

export class ScriptedEngine implements ContextHandler<Runs> {
  readonly #owned = new Map<number, OwnedPartition<Runs>>()
  readonly #partitions: number
  /** commands in the order in which they came */
  readonly commands: Command[] = []
  /** commands that wait for {@link release}, while held */
  #held: (() => void)[] | null = null

  private constructor(partitions: number) {
    this.#partitions = partitions
  }

  static async start(context: LogContext, partitions: number, endpoint: string) {
    const engine = new ScriptedEngine(partitions)
    const owner: ContextOwner = await openOwner(context, {
      machine: {
        version: 1,
        empty: () => new Map(),
        apply: (runs, event) => applyTo(runs, event),
        encode: (runs) => [...runs],
        decode: (encoded) => new Map(encoded as [string, Run][]),
      },
      handler: engine,
      snapshots: noSnapshots,
      snapshotEvery: 1_000_000,
      owner: 'scripted',
      endpoint,
      sessionTimeoutMs: 6_000,
      onNotice: () => undefined,
    })
    return { engine, owner }
  }

  get owns(): number {
    return this.#owned.size
  }

  owned(partition: OwnedPartition<Runs>): void {
    this.#owned.set(partition.partition, partition)
  }
  lost(partition: number): void {
    this.#owned.delete(partition)
  }

  command(partition: OwnedPartition<Runs>, command: Command): Promise<unknown> {
    this.commands.push(command)
    const held = this.#held
    if (!held) return this.#decide(partition, command)
    return new Promise((resolve) => held.push(() => resolve(this.#decide(partition, command))))
  }

  /** from now on nothing is decided */
  hold(): void {
    this.#held = []
  }
  /** decides what waited, and everything after it at once */
  release(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const decide of held) decide()
  }

  #decide(partition: OwnedPartition<Runs>, command: Command): Promise<unknown> {
    const { envelope } = command
    const { type, data } = command as unknown as ExecutionContextCommand
    const answer = (event: ExecutionContextEvent) => partition.append([{ ...about(command), ...event }])
    const run = partition.state.get(envelope.aggregate)
    if (type === 'RegisterAgent') return answer({ type: 'AgentRegistered', data })
    if (type === 'StartExecution') {
      if (!run) return answer({ type: 'ExecutionRequested', data })
      return run.requestHash === data.requestHash
        ? answer({ type: 'CommandDeduplicated', data: { commandType: type, outcome: 'accepted' } })
        : partition.reject(command, 'execution_conflict', 'this id exists with another input')
    }
    if (!run) return partition.reject(command, 'execution_unknown', 'there is no such execution')
    if (run.finished) return partition.reject(command, 'execution_finished', 'the execution has finished')
    if (type === 'SignalExecution') return answer({ type: 'SignalReceived', data })
    if (type === 'PauseExecution') return answer({ type: 'ExecutionPaused', data: { by: envelope.actor, ...data } })
    if (type === 'ResumeExecution') return answer({ type: 'ExecutionResumed', data: { by: envelope.actor } })
    if (type === 'CancelExecution') return answer({ type: 'ExecutionCancelled', data: { by: envelope.actor, ...data } })
    if (type === 'DecideApproval') return partition.reject(command, 'approval_unknown', 'no such approval')
    return partition.reject(command, 'outcome_not_unknown', 'nothing is in doubt')
  }

  /** What a run records, accepted once this resolves. */
  async write(tenant: string, executionId: string, ...events: ExecutionContextEvent[]): Promise<void> {
    const aggregate = aggregateKey('execution', tenant, executionId)
    const partition = this.#owned.get(partitionFor(aggregate, this.#partitions))
    if (!partition) throw new Error(`${aggregate} is not owned`)
    await partition.append(
      events.map((event): EventDraft => ({ ...event, aggregate, tenant, actor: 'worker:w', correlationId: 'spec' })),
    )
  }
}

const about = ({ envelope }: Command) => ({
  aggregate: envelope.aggregate,
  tenant: envelope.tenant,
  actor: envelope.actor,
  correlationId: envelope.correlationId,
  commandId: envelope.id,
})

const applyTo = (runs: Runs, { envelope, type, data }: AcceptedEvent) => {
  if (type === 'ExecutionRequested') {
    runs.set(envelope.aggregate, { requestHash: (data as { requestHash: string }).requestHash, finished: false })
  }
  const run = runs.get(envelope.aggregate)
  if (run && ['ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled'].includes(type)) run.finished = true
}
