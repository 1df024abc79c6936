import { type Clock, TimerQueue } from '@omium/kit'
import type { Command, ContextHandler, OwnedPartition } from '@omium/log'
import {
  aggregateKey,
  hashJson,
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
import { type Owed, owedBySchedule, owedByTrigger, owedByWorkflow, reportOf } from './domain/owed.ts'
import { decideSchedule, passTime, type ScheduleState, windowOf } from './domain/schedule.ts'
import { decideTrigger, fireTrigger, type TriggerState } from './domain/trigger.ts'
import { decideWorkflow } from './domain/workflow.ts'
import { authorOf, HostedPartition } from './hosted-partition.ts'
import type { PartitionState } from './machine.ts'
import { mapEvent } from './mapping.ts'
import { Outbox } from './outbox.ts'
import type { Executions, FollowEnds, FollowTopic, Measures, Notices, Payloads, SeenEnd, TopicEvent } from './ports.ts'

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
  readonly executions: Executions
  readonly payloads: Payloads
  readonly followEnds: FollowEnds
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
  readonly #outbox: Outbox

  constructor(options: ManagerOptions) {
    this.#options = options
    this.#timers = new TimerQueue(options.clock, (moment) => this.#elapsed(moment))
    this.#outbox = new Outbox({
      ...options,
      delay: (ms) =>
        new Promise<void>((resolve) => {
          options.clock.after(ms, resolve)
        }),
    })
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
    const partition = new HostedPartition(log, (hosted, aggregate) => this.#settle(hosted, aggregate))
    this.#partitions.set(log.partition, partition)
    for (const aggregate of [...log.state.workflows.keys(), ...log.state.triggers.keys()])
      this.#settle(partition, aggregate)
    for (const aggregate of log.state.schedules.keys()) {
      this.#settle(partition, aggregate)
      this.#lookAt(partition, aggregate)
    }
    partition.ends = this.#options.followEnds(log.partition, (end) => this.#ended(partition, end))
  }

  lost(number: number): void {
    const partition = this.#partitions.get(number)
    if (!partition) return
    this.#partitions.delete(number)
    this.#timers.removeWhere((moment) => moment.partition === partition)
    const followed = [partition.ends, ...[...partition.topics.values()].map(({ following }) => following)]
    for (const following of followed)
      following?.close().catch((err: unknown) => this.#options.notices.warn({ err }, 'following could not be ended'))
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
      return log.reject(command, 'invalid_request', detail)
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
    const { tenant, correlationId } = command.envelope
    const asked = { type: command.type, data: command.data } as WorkflowContextCommand
    if (asked.type !== 'RunWorkflow') return partition.log.reject(command, code, detail)
    const end = { status: 'refused', code, detail: detail.slice(0, 8192) } as const
    const report = reportOf(tenant, asked.data.source, asked.data.runId, end)
    if (!report) return partition.log.reject(command, code, detail)
    const sent = partition.log.send({
      id: report.id,
      ...report.command,
      aggregate: aggregateKey(report.to.type, tenant, report.to.id),
      tenant,
      actor: 'system',
      correlationId,
    })
    return sent.then(() => partition.log.reject(command, code, detail))
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

  /** Everything that the aggregate asks for now: what it owes, when to look at it again, what it follows. */
  #settle(partition: HostedPartition, aggregate: string): void {
    const { workflows, schedules, triggers } = partition.log.state
    const workflow = workflows.get(aggregate)
    const schedule = schedules.get(aggregate)
    const trigger = triggers.get(aggregate)
    if (workflow) this.#send(partition, aggregate, owedByWorkflow(workflow))
    if (schedule) {
      this.#send(partition, aggregate, owedBySchedule(schedule))
      this.#arm(partition, aggregate, schedule)
    }
    if (trigger) {
      this.#send(partition, aggregate, owedByTrigger(trigger))
      this.#follow(partition, aggregate, trigger)
    }
  }

  #send(partition: HostedPartition, aggregate: string, owed: readonly Owed[]): void {
    const sent = partition.sent.get(aggregate) ?? new Set()
    const fresh = owed.filter(({ id }) => !sent.has(id))
    // what is not owed any more is forgotten
    const now = new Set(owed.map(({ id }) => id))
    if (now.size > 0) partition.sent.set(aggregate, now)
    else partition.sent.delete(aggregate)
    if (fresh.length > 0) this.#outbox.send(partition, aggregate, fresh)
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
    const state = partition.log.state.schedules.get(aggregate)
    if (!state) return
    const events = passTime(state, this.#options.clock.nowMs(), momentsBetween)
    if (events.length === 0) {
      this.#arm(partition, aggregate, state)
      return
    }
    this.#measure(events)
    const by = { tenant: state.tenant, actor: 'system', correlationId: state.correlationId }
    partition.record(aggregate, events, by).catch(() => undefined)
  }

  async #ended(partition: HostedPartition, { tenant, workflow, runId, correlationId, data }: SeenEnd): Promise<void> {
    await partition.log.send({
      id: `cmd_wfend_${hashJson([tenant, runId]).slice(0, 32)}`,
      type: 'EndWorkflowRun',
      data,
      aggregate: aggregateKey('workflow', tenant, workflow),
      tenant,
      actor: 'system',
      correlationId,
    })
  }

  #follow(partition: HostedPartition, aggregate: string, state: TriggerState): void {
    const { source } = state.spec
    const wanted = source.type === 'topic' && state.status === 'active' ? source.topic : undefined
    const current = partition.topics.get(aggregate)
    if (current?.topic === wanted) return
    partition.topics.delete(aggregate)
    current?.following
      .close()
      .catch((err: unknown) => this.#options.notices.warn({ err, aggregate }, 'following could not be ended'))
    if (wanted === undefined) return
    const by = { tenant: state.tenant, actor: 'system', correlationId: state.correlationId }
    let passed = 0
    const following = this.#options.followTopic(
      { tenant: state.tenant, name: wanted },
      Object.keys(state.positions).length > 0 ? state.positions : null,
      {
        onStart: async (positions) => {
          await partition.record(aggregate, [{ type: 'TriggerAdvanced', data: { positions } }], by)
        },
        onEvent: async ({ partition: number, offset, event }: TopicEvent) => {
          const now = partition.log.state.triggers.get(aggregate)
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
