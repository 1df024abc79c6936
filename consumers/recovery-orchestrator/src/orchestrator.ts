import type { Clock } from '@omium/kit'
import type { Appended, Command, ContextHandler, EventDraft, OwnedPartition } from '@omium/log'
import {
  type IncidentCommand,
  type IncidentEvent,
  type IncidentStatus,
  parseAggregateKey,
  type RecoveryContextEvent,
  type RecoveryPolicyCommand,
  recoveryPolicyCommands,
} from '@omium/schemas'
import { type Decision, decideIncidentCommand } from './domain/decide.ts'
import { closingEvents, type IncidentState } from './domain/incident.ts'
import { decidePolicyCommand } from './domain/policy.ts'
import type { Follower } from './follower.ts'
import type { KnowledgeBook } from './knowledge.ts'
import type { PartitionState } from './machine.ts'
import type { Outbox } from './outbox.ts'
import type { Notices, RecoveryMeasures } from './ports.ts'

/**
 * The recovery orchestrator of one process: the incidents and policies of the partitions that it owns, and, with each of
 * them, the partitions of the execution context that it follows.
 *
 * 1. A decision is an accepted event of this context first; only then does its command leave the process.
 * 2. What is sent is derived from the folded state, and sent again by {@link owned}: a crash in between forgets nothing, and
 *    the id of the command keeps it from happening twice.
 */
export interface OrchestratorOptions {
  readonly knowledge: Pick<KnowledgeBook, 'at'>
  readonly outbox: Outbox
  readonly clock: Clock
  readonly notices: Notices
  readonly measures: RecoveryMeasures
  /** followers for a partition of this context; none in specs that need none */
  followersOf(partition: number): Follower[]
}

export class Orchestrator implements ContextHandler<PartitionState> {
  readonly #options: OrchestratorOptions
  readonly #partitions = new Map<number, OwnedPartition<PartitionState>>()
  readonly #followers = new Map<number, Follower[]>()

  constructor(options: OrchestratorOptions) {
    this.#options = options
  }

  owned(partition: OwnedPartition<PartitionState>): void {
    this.#partitions.set(partition.partition, partition)
    for (const aggregate of [...partition.state.incidents.keys()]) void this.#options.outbox.send(partition, aggregate)
    const followers = this.#options.followersOf(partition.partition)
    this.#followers.set(partition.partition, followers)
    for (const follower of followers) follower.start()
  }

  lost(partition: number): void {
    this.#partitions.delete(partition)
    const followers = this.#followers.get(partition) ?? []
    this.#followers.delete(partition)
    for (const follower of followers) void this.#close(follower, false)
  }

  command(partition: OwnedPartition<PartitionState>, command: Command): Promise<unknown> {
    const key = parseAggregateKey(command.envelope.aggregate)
    const expected = command.type in recoveryPolicyCommands ? 'policy' : 'incident'
    if (!key || key.type !== expected || key.tenant !== command.envelope.tenant) {
      const detail = `${command.type} is for an aggregate ${expected}:<tenant>/<id> of its own tenant`
      return partition.reject(command, 'invalid_request', detail)
    }
    return expected === 'policy' ? this.#policy(partition, command) : this.#incident(partition, command, key.id)
  }

  /** The process leaves: what its followers know is stored for whoever follows next. */
  async leave(): Promise<void> {
    const followers = [...this.#followers.values()].flat()
    this.#followers.clear()
    await Promise.all(followers.map((follower) => this.#close(follower, true)))
  }

  // what metrics and readiness show

  get followed(): number {
    return [...this.#followers.values()].flat().reduce((sum, { following }) => sum + following, 0)
  }

  notReady(): string | null {
    for (const follower of [...this.#followers.values()].flat()) {
      const problem = follower.notReady()
      if (problem !== null) return `partition ${follower.partition} of the executions is not followed: ${problem}`
    }
    return null
  }

  countByStatus(): Map<IncidentStatus, number> {
    const counts = new Map<IncidentStatus, number>()
    for (const { state } of this.#partitions.values()) {
      for (const { status } of state.incidents.values()) counts.set(status, (counts.get(status) ?? 0) + 1)
    }
    return counts
  }

  #policy(partition: OwnedPartition<PartitionState>, command: Command): Promise<unknown> {
    const { aggregate, actor } = command.envelope
    const { type, data } = command
    const policyCommand = { type, data } as RecoveryPolicyCommand
    const decision = decidePolicyCommand(partition.state.policies.get(aggregate), policyCommand, actor)
    return this.#record(partition, command, decision)
  }

  #incident(partition: OwnedPartition<PartitionState>, command: Command, id: string): Promise<unknown> {
    const { aggregate, tenant, actor } = command.envelope
    const state = partition.state.incidents.get(aggregate)
    const { type, data } = command
    if (!state && partition.versionOf(aggregate) > 0) {
      if (type !== 'DecideIncident') return deduplicated(partition, command)
      return partition.reject(command, 'incident_not_undecided', `incident ${id} is closed: it waits for no decision`)
    }
    const nowMs = this.#options.clock.nowMs()
    const decision = decideIncidentCommand(
      state,
      { type, data } as IncidentCommand,
      { tenant, id, by: actor },
      this.#options.knowledge.at(nowMs),
    )
    return this.#record(partition, command, decision)
  }

  #record(
    partition: OwnedPartition<PartitionState>,
    command: Command,
    decision: Decision<RecoveryContextEvent>,
  ): Promise<unknown> {
    if (decision.status === 'refused') return partition.reject(command, decision.code, decision.detail.slice(0, 8192))
    const { events } = decision
    if (events.length === 0) return deduplicated(partition, command)
    const { aggregate } = command.envelope
    const closing = closingEvents.has(events.at(-1)?.type ?? '')
    const before = partition.state.incidents.get(aggregate)
    const drafts = events.map(
      ({ type, data }, i): EventDraft => ({
        type,
        data,
        aggregate,
        ...authorOf(command),
        ...(closing && i === events.length - 1 && { closes: true }),
      }),
    )
    const appended = partition.append(drafts)
    appended.then(
      () => {
        this.#measure(events, partition.state.incidents.get(aggregate) ?? before)
        void this.#options.outbox.send(partition, aggregate)
      },
      () => undefined,
    )
    return appended
  }

  #measure(events: readonly RecoveryContextEvent[], state: IncidentState | undefined): void {
    const { measures, clock } = this.#options
    for (const event of events as readonly IncidentEvent[]) {
      switch (event.type) {
        case 'RecoveryPlanned':
          measures.planned(state?.diagnosis?.class ?? 'unknown', event.data.strategy)
          if (event.data.by === 'system' && state?.facts) measures.decidedIn(clock.nowMs() - state.facts.at)
          break
        case 'RecoverySucceeded':
          measures.recovered(event.data.class, event.data.strategy, event.data.recoveredInMs)
          break
        case 'RecoveryFailed':
          measures.failed(event.data.class, event.data.strategy)
          break
        case 'EscalatedToPerson':
          measures.escalated()
          break
        case 'GivenUp':
          measures.givenUp()
          break
      }
    }
  }

  async #close(follower: Follower, remember: boolean): Promise<void> {
    try {
      await follower.close(remember)
    } catch (error) {
      this.#options.notices.warn({ err: error, partition: follower.partition }, 'a follower did not close well')
    }
  }
}

const authorOf = ({ envelope }: Command) => ({
  tenant: envelope.tenant,
  actor: envelope.actor,
  correlationId: envelope.correlationId,
  commandId: envelope.id,
  ...(envelope.traceparent !== undefined && { traceparent: envelope.traceparent }),
})

/** Answers a command that asks for, or tells, what is known already. */
const deduplicated = (partition: OwnedPartition<PartitionState>, command: Command): Promise<Appended> => {
  const data = { commandType: command.type, outcome: 'accepted' }
  const { aggregate } = command.envelope
  return partition.append([{ type: 'CommandDeduplicated', data, aggregate, ...authorOf(command) }])
}
