import { authorOf, bySystem, type Clock, HostedPartition, type Notices, Outbox } from '@omium/kit'
import type { Command, ContextHandler, OwnedPartition } from '@omium/log'
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
import { owedBy } from './domain/outbox.ts'
import { decidePolicyCommand } from './domain/policy.ts'
import type { KnowledgeBook } from './knowledge.ts'
import type { PartitionState } from './machine.ts'
import type { Commands, EffectHistory, RecoveryMeasures } from './ports.ts'

/**
 * The recovery orchestrator of one process: the incidents and policies of the partitions that it owns.
 *
 * 1. A decision is an accepted event of this context first; only then does its command leave the process.
 * 2. What is sent is derived from the accepted state, and sent again by {@link owned}: a crash in between forgets nothing,
 *    and the id of the command keeps it from happening twice.
 */
export interface OrchestratorOptions {
  readonly knowledge: Pick<KnowledgeBook, 'at'>
  /** to the execution context */
  readonly executions: Commands
  readonly effects: EffectHistory
  readonly clock: Clock
  readonly notices: Notices
  readonly measures: RecoveryMeasures
}

export class Orchestrator implements ContextHandler<PartitionState> {
  readonly #options: OrchestratorOptions
  readonly #partitions = new Map<number, HostedPartition<PartitionState>>()

  constructor(options: OrchestratorOptions) {
    this.#options = options
  }

  owned(log: OwnedPartition<PartitionState>): void {
    const { clock, notices, executions, effects } = this.#options
    const outbox = new Outbox(log, {
      clock,
      notices,
      owedBy: ({ incidents }, key) => {
        const state = incidents.get(key)
        const owed = state && owedBy(state)
        return state && owed ? [{ ...owed, by: bySystem(state) }] : []
      },
      send: async (_key, owed) => {
        const { id, aggregate, by } = owed
        const { type, data } = 'effects' in owed ? owed.command(await effects.read(owed.effects)) : owed.command
        await executions.send({ id, type, data, aggregate, ...by })
      },
    })
    const partition = new HostedPartition(log, {
      onFault: (err) => notices.error({ err, partition: log.partition }, 'what follows from accepted events failed'),
      onSettled: (aggregate) => outbox.settle(aggregate),
    })
    this.#partitions.set(log.partition, partition)
    for (const aggregate of log.state.incidents.keys()) outbox.settle(aggregate)
  }

  lost(partition: number): void {
    this.#partitions.delete(partition)
  }

  command(log: OwnedPartition<PartitionState>, command: Command): Promise<unknown> {
    const partition = this.#partitions.get(log.partition)
    if (!partition) throw new RangeError(`a command came for partition ${log.partition}, which is not owned`)
    const key = parseAggregateKey(command.envelope.aggregate)
    const expected = command.type in recoveryPolicyCommands ? 'policy' : 'incident'
    if (!key || key.type !== expected || key.tenant !== command.envelope.tenant) {
      const detail = `${command.type} is for an aggregate ${expected}:<tenant>/<id> of its own tenant`
      return partition.reject(command, 'invalid_request', detail)
    }
    return expected === 'policy' ? this.#policy(partition, command) : this.#incident(partition, command, key.id)
  }

  /** incidents that are not closed, for metrics */
  countByStatus(): Map<IncidentStatus, number> {
    const counts = new Map<IncidentStatus, number>()
    for (const { state } of this.#partitions.values()) {
      for (const { status } of state.incidents.values()) counts.set(status, (counts.get(status) ?? 0) + 1)
    }
    return counts
  }

  #policy(partition: HostedPartition<PartitionState>, command: Command): Promise<unknown> {
    const { aggregate, actor } = command.envelope
    const { type, data } = command
    const policyCommand = { type, data } as RecoveryPolicyCommand
    const decision = decidePolicyCommand(partition.state.policies.get(aggregate), policyCommand, actor)
    return this.#record(partition, command, decision)
  }

  #incident(partition: HostedPartition<PartitionState>, command: Command, id: string): Promise<unknown> {
    const { aggregate, tenant, actor } = command.envelope
    const state = partition.state.incidents.get(aggregate)
    const { type, data } = command
    if (!state && partition.log.versionOf(aggregate) > 0) {
      if (type !== 'DecideIncident') return partition.recordDeduplicated(command)
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
    partition: HostedPartition<PartitionState>,
    command: Command,
    decision: Decision<RecoveryContextEvent>,
  ): Promise<unknown> {
    if (decision.status === 'refused') return partition.reject(command, decision.code, decision.detail)
    const { events } = decision
    if (events.length === 0) return partition.recordDeduplicated(command)
    const { aggregate } = command.envelope
    const closing = closingEvents.has(events.at(-1)?.type ?? '')
    const before = partition.state.incidents.get(aggregate)
    const recorded = partition.record(aggregate, events, authorOf(command), closing)
    recorded.then(
      () => this.#measure(events, partition.state.incidents.get(aggregate) ?? before),
      () => undefined,
    )
    return recorded
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
}
