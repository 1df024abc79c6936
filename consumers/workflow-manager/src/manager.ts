import { authorOf, bySystem, type Clock, type Notices, TimerQueue } from '@omium/kit'
import type { Command, ContextHandler, OwnedPartition } from '@omium/log'
import {
  aggregateKey,
  OmiumError,
  parseAggregateKey,
  type ScheduleCommand,
  scheduleCommands,
  type TriggerCommand,
  triggerCommands,
  type WorkflowCommand,
  type WorkflowContextCommand,
  type WorkflowContextEvent,
} from '@omium/schemas'
import { checkCron, momentsBetween, nextMoment } from '@omium/workflow-language'
import type { Decision } from './domain/decision.ts'
import { reportOf } from './domain/owed.ts'
import { decideSchedule, passTime, type ScheduleState, windowOf } from './domain/schedule.ts'
import { decideTrigger, fireTrigger, type TriggerState } from './domain/trigger.ts'
import { decideWorkflow } from './domain/workflow.ts'
import { HostedPartition, type HostedPartitionOptions } from './hosted-partition.ts'
import type { PartitionState } from './machine.ts'
import { mapEvent } from './mapping.ts'
import type { Commands, FollowTopic, Measures, Payloads, TopicEvent } from './ports.ts'
import { createSendOwed } from './send-owed.ts'

/**
 * Workflows, schedules and triggers of the partitions that this process owns.
 *
 * 1. Every change is an accepted event. What is held beside the folded state (timers, what is being sent, what is followed)
 *    is derived from it, and rebuilt by {@link owned}.
 * 2. What leaves the process is derived from accepted state and carries an id made from what it is about: sent twice, it has
 *    one effect. So a kill at any point repeats nothing and forgets nothing.
 */
export interface ManagerOptions {
  readonly clock: Clock
  readonly notices: Notices
  readonly measures: Measures
  readonly executions: Commands
  readonly payloads: Payloads
  readonly followTopic: FollowTopic
}

interface Moment {
  readonly partition: HostedPartition
  readonly aggregate: string
  readonly at: number
}

/** positions in a topic are recorded after so many events that started nothing */
const advanceEvery = 200

export class Manager implements ContextHandler<PartitionState> {
  readonly #options: ManagerOptions
  readonly #partitions = new Map<number, HostedPartition>()
  readonly #timers: TimerQueue<Moment>
  readonly #hosting: HostedPartitionOptions

  constructor(options: ManagerOptions) {
    this.#options = options
    this.#timers = new TimerQueue(options.clock, (moment) => this.#elapsed(moment))
    this.#hosting = {
      ...options,
      send: createSendOwed(options),
      settled: (partition, aggregate) => this.#settled(partition, aggregate),
    }
  }

  /** of the partitions that this process owns, for metrics */
  count(): { workflows: number; schedules: number; triggers: number; runs: number } {
    const total = { workflows: 0, schedules: 0, triggers: 0, runs: 0 }
    for (const { log } of this.#partitions.values()) {
      total.workflows += log.state.workflows.size
      total.schedules += log.state.schedules.size
      total.triggers += log.state.triggers.size
      for (const { runs } of log.state.workflows.values()) total.runs += Object.keys(runs).length
    }
    return total
  }

  owned(log: OwnedPartition<PartitionState>): void {
    const partition = new HostedPartition(log, this.#hosting)
    this.#partitions.set(log.partition, partition)
    const { workflows, schedules, triggers } = log.state
    for (const aggregate of [...workflows.keys(), ...schedules.keys(), ...triggers.keys()]) partition.settle(aggregate)
    for (const aggregate of schedules.keys()) this.#lookAt(partition, aggregate)
  }

  lost(number: number): void {
    const partition = this.#partitions.get(number)
    if (!partition) return
    this.#partitions.delete(number)
    this.#timers.removeWhere((moment) => moment.partition === partition)
    for (const { following } of partition.topics.values()) void following.close()
    partition.topics.clear()
  }

  command(log: OwnedPartition<PartitionState>, command: Command): Promise<unknown> {
    const partition = this.#partitions.get(log.partition)
    if (!partition) throw new RangeError(`a command came for partition ${log.partition}, which is not owned`)
    const { aggregate, tenant } = command.envelope
    const key = parseAggregateKey(aggregate)
    const expected =
      command.type in scheduleCommands ? 'schedule' : command.type in triggerCommands ? 'trigger' : 'workflow'
    if (!key || key.type !== expected || key.tenant !== tenant || !namesItself(command, key.id)) {
      const detail = `${command.type} is for an aggregate ${expected}:<tenant>/<id> of its own tenant and id`
      return partition.reject(command, 'invalid_request', detail)
    }
    let decision: Decision
    try {
      decision = this.#decide(log.state, command, key.id)
    } catch (error) {
      if (!(error instanceof OmiumError)) throw error
      decision = { status: 'refused', code: error.code, detail: error.message }
    }
    if (decision.status === 'refused') return this.#refuse(partition, command, decision.code, decision.detail)
    if (decision.events.length === 0) return partition.recordDeduplicated(command)
    this.#measure(decision.events)
    return partition.record(aggregate, decision.events, authorOf(command))
  }

  #decide(state: PartitionState, { type, data, envelope }: Command, id: string): Decision {
    const { aggregate, actor } = envelope
    const command = { type, data } as WorkflowContextCommand
    if (type in scheduleCommands) {
      const nowMs = this.#options.clock.nowMs()
      if (command.type === 'PutSchedule') checkCron(command.data.spec, nowMs)
      return decideSchedule(state.schedules.get(aggregate), command as ScheduleCommand, id, actor, nowMs)
    }
    if (type in triggerCommands)
      return decideTrigger(state.triggers.get(aggregate), command as TriggerCommand, id, actor, mapEvent)
    return decideWorkflow(state.workflows.get(aggregate), command as WorkflowCommand, id, actor)
  }

  /** A run that is refused is reported first: once the rejection is recorded, nobody would think of it any more. */
  async #refuse(
    partition: HostedPartition,
    command: Command,
    code: OmiumError['code'],
    detail: string,
  ): Promise<unknown> {
    const { tenant } = command.envelope
    const asked = { type: command.type, data: command.data } as WorkflowContextCommand
    if (asked.type !== 'RunWorkflow') return partition.reject(command, code, detail)
    const end = { status: 'refused', code, detail: detail.slice(0, 8192) } as const
    const report = reportOf(tenant, asked.data.source, asked.data.runId, end)
    if (!report) return partition.reject(command, code, detail)
    const sent = partition.log.send({
      id: report.id,
      ...report.command,
      aggregate: aggregateKey(report.to.type, tenant, report.to.id),
      ...bySystem(command.envelope),
    })
    return sent.then(() => partition.reject(command, code, detail))
  }

  #measure(events: readonly WorkflowContextEvent[]): void {
    const { measures, clock } = this.#options
    for (const { type, data } of events) {
      if (type === 'ScheduleFired') {
        measures.fired('schedule')
        if (!data.late) measures.fireLatency(clock.nowMs() - data.nominalAt)
      } else if (type === 'TriggerFired') measures.fired('trigger')
    }
  }

  /** When to look at the aggregate again, and what it follows. */
  #settled(partition: HostedPartition, aggregate: string): void {
    const { schedules, triggers } = partition.state
    const schedule = schedules.get(aggregate)
    const trigger = triggers.get(aggregate)
    if (schedule) this.#arm(partition, aggregate, schedule)
    if (trigger) this.#follow(partition, aggregate, trigger)
  }

  #arm(partition: HostedPartition, aggregate: string, state: ScheduleState): void {
    const { after, until } = windowOf(state)
    const next = state.status === 'active' ? nextMoment(state.spec, after) : undefined
    if (next === undefined || next > until) {
      partition.armed.delete(aggregate)
      return
    }
    if (partition.armed.get(aggregate) === next) return
    partition.armed.set(aggregate, next)
    this.#timers.add(next, { partition, aggregate, at: next })
  }

  #elapsed({ partition, aggregate, at }: Moment): void {
    if (!partition.live || partition.armed.get(aggregate) !== at) return
    partition.armed.delete(aggregate)
    this.#lookAt(partition, aggregate)
  }

  #lookAt(partition: HostedPartition, aggregate: string): void {
    const state = partition.state.schedules.get(aggregate)
    if (!state) return
    const events = passTime(state, this.#options.clock.nowMs(), momentsBetween)
    if (events.length === 0) {
      this.#arm(partition, aggregate, state)
      return
    }
    this.#measure(events)
    partition.record(aggregate, events, bySystem(state)).catch(() => undefined)
  }

  #follow(partition: HostedPartition, aggregate: string, state: TriggerState): void {
    const { source } = state.spec
    const wanted = source.type === 'topic' && state.status === 'active' ? source.topic : undefined
    const current = partition.topics.get(aggregate)
    if (current?.topic === wanted) return
    partition.topics.delete(aggregate)
    void current?.following.close()
    if (wanted === undefined) return
    const by = bySystem(state)
    let passed = 0
    const following = this.#options.followTopic(
      { tenant: state.tenant, name: wanted },
      { positions: state.positions, sinceMs: state.sinceMs },
      {
        onStart: async (positions) => {
          await partition.record(aggregate, [{ type: 'TriggerAdvanced', data: { positions } }], by)
        },
        onEvent: async ({ partition: number, offset, event }: TopicEvent) => {
          const now = partition.state.triggers.get(aggregate)
          if (now?.status !== 'active' || (now.positions[number] ?? 0) > offset) return
          const positions = { [number]: offset + 1 }
          const fired = { eventId: `${wanted}:${number}:${offset}`, event, positions }
          const events = fireTrigger(now, fired, mapEvent)
          const [only] = events
          if (only?.type === 'TriggerIgnored' && only.data.reason === 'filtered') {
            passed++
            if (passed % advanceEvery !== 0) return
            await partition.record(aggregate, [{ type: 'TriggerAdvanced', data: { positions } }], by)
          } else if (events.length > 0) {
            this.#measure(events)
            await partition.record(aggregate, events, by)
          }
        },
      },
    )
    partition.topics.set(aggregate, { topic: wanted, following })
  }
}

/** Commands that name their aggregate in their data have to name the one they are for. */
const namesItself = ({ type, data }: Command, id: string): boolean => {
  const { workflowId, scheduleId, triggerId } = data as Record<string, unknown>
  if (type === 'CreateWorkflowVersion') return workflowId === id
  if (type === 'PutSchedule') return scheduleId === id
  if (type === 'PutTrigger') return triggerId === id
  return true
}
