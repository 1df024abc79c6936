import { authorOf } from '@omium/kit'
import type { Command } from '@omium/log'
import type { AgentCommand, ExecutionCommand, PermitCommand } from '@omium/schemas'
import { parseAggregateKey } from '@omium/schemas'
import type { Assignments } from './assignments.ts'
import type { Dispatcher } from './dispatcher.ts'
import { registerAgent } from './domain/agent.ts'
import { decideCommand } from './domain/decide.ts'
import type { Refused } from './domain/decision.ts'
import { childRefused, grantOf } from './domain/outbox.ts'
import { decidePermit } from './domain/permits.ts'
import type { HostedPartition } from './hosted-partition.ts'
import type { Outbox } from './outbox.ts'
import type { StopReason } from './ports.ts'
import type { Recorder } from './recorder.ts'

/** Decides the commands of a partition: each ends in accepted events, or in a recorded rejection or repetition. */
export class Commands {
  readonly #recorder: Recorder
  readonly #assignments: Assignments
  readonly #dispatcher: Dispatcher
  readonly #outbox: Outbox
  readonly #nowMs: () => number

  constructor(port: {
    recorder: Recorder
    assignments: Assignments
    dispatcher: Dispatcher
    outbox: Outbox
    nowMs: () => number
  }) {
    this.#recorder = port.recorder
    this.#assignments = port.assignments
    this.#dispatcher = port.dispatcher
    this.#outbox = port.outbox
    this.#nowMs = port.nowMs
  }

  decide(partition: HostedPartition, command: Command): Promise<unknown> {
    const key = parseAggregateKey(command.envelope.aggregate)
    const expected = aggregateTypeOf(command.type)
    if (!key || key.type !== expected || key.tenant !== command.envelope.tenant) {
      const detail = `${command.type} is for an aggregate ${expected}:<tenant>/<id> of its own tenant`
      return partition.reject(command, 'invalid_request', detail)
    }
    const { type, data } = command
    switch (type) {
      case 'RegisterAgent':
        return this.#registerAgent(partition, command, key.id)
      case 'AcquirePermit':
      case 'ReleasePermit':
        return this.#permit(partition, command, { type, data } as PermitCommand)
      default:
        return this.#execution(partition, command, { type, data } as ExecutionCommand, key.id)
    }
  }

  #registerAgent(partition: HostedPartition, command: Command, agentId: string): Promise<unknown> {
    const { aggregate } = command.envelope
    const register = { type: 'RegisterAgent', data: command.data } as AgentCommand
    if (register.data.definition.agentId !== agentId) {
      return partition.reject(command, 'invalid_request', `the definition is of another agent than ${agentId}`)
    }
    const { events } = registerAgent(partition.state.agents.get(aggregate), register)
    return events.length === 0
      ? partition.recordDeduplicated(command)
      : partition.record(aggregate, events, authorOf(command))
  }

  #permit(partition: HostedPartition, command: Command, permit: PermitCommand): Promise<unknown> {
    const { aggregate } = command.envelope
    const { pools } = partition.state
    const { events } = decidePermit(pools.get(aggregate), permit)
    if (events.length === 0) return partition.recordDeduplicated(command)
    const appended = partition.record(aggregate, events, authorOf(command))
    const pool = pools.get(aggregate)
    const issued = events.filter((event) => event.type === 'PermitIssued')
    if (pool && issued.length > 0) {
      const grants = issued.map((event) => grantOf(pool, event.data.executionId))
      partition.whenAccepted(() => void this.#outbox.sendInAnyOrder(partition, aggregate, pool, grants))
    }
    return appended
  }

  #execution(
    partition: HostedPartition,
    command: Command,
    execution: ExecutionCommand,
    executionId: string,
  ): Promise<unknown> {
    const { aggregate, actor } = command.envelope
    if (execution.type === 'StartExecution' && execution.data.executionId !== executionId) {
      return partition.reject(
        command,
        'invalid_request',
        `the command names ${execution.data.executionId}, its key ${executionId}`,
      )
    }
    const state = partition.execution(aggregate)
    if (!state && partition.log.versionOf(aggregate) > 0) return this.#closed(partition, command, execution)
    const decision = decideCommand(state, execution, actor, this.#nowMs())
    if (decision.status === 'refused') return this.#refuse(partition, command, execution, decision)
    if (decision.events.length === 0) return partition.recordDeduplicated(command)
    const by = authorOf(command)
    if (execution.type === 'StartExecution' && !execution.data.options.concurrency) {
      const { agentId } = execution.data
      const session = this.#dispatcher.hasWaiting(by.tenant, agentId)
        ? undefined
        : this.#dispatcher.freeSession(by.tenant, agentId)
      if (session) {
        return this.#assignments.startRequested(partition, aggregate, executionId, decision.events, session, by)
      }
    }
    const stop = stopReasons[execution.type]
    return this.#recorder.record(partition, aggregate, decision.events, by, stop ? { stop } : {})
  }

  /** The run closed and its state is gone; what is remembered is the request of its start. */
  #closed(partition: HostedPartition, command: Command, execution: ExecutionCommand): Promise<unknown> {
    switch (execution.type) {
      case 'StartExecution':
        if (partition.state.closed.get(command.envelope.aggregate) === execution.data.requestHash) {
          return partition.recordDeduplicated(command)
        }
        return this.#refuse(partition, command, execution, {
          status: 'refused',
          code: 'execution_conflict',
          detail: `execution ${execution.data.executionId} existed with another agent or input and has closed; choose another id`,
        })
      case 'DeliverChildOutcome':
        return partition.recordDeduplicated(command)
      default:
        return partition.reject(
          command,
          'execution_finished',
          'the execution has finished; nothing can change it any more',
        )
    }
  }

  #refuse(
    partition: HostedPartition,
    command: Command,
    execution: ExecutionCommand,
    { code, detail }: Refused,
  ): Promise<unknown> {
    if (execution.type === 'StartExecution' && execution.data.parent && code === 'execution_conflict') {
      const { tenant, correlationId, aggregate } = command.envelope
      const told = childRefused(tenant, execution.data, code, detail)
      // The parent is told first: once the rejection is recorded, nobody would think of telling it any more.
      if (told) {
        return this.#outbox
          .send(partition, aggregate, { tenant, correlationId }, [told])
          .then(() => partition.reject(command, code, detail))
      }
    }
    return partition.reject(command, code, detail)
  }
}

const aggregateTypeOf = (commandType: string): string =>
  commandType === 'RegisterAgent'
    ? 'agent'
    : commandType === 'AcquirePermit' || commandType === 'ReleasePermit'
      ? 'permits'
      : 'execution'

const stopReasons: Partial<Record<ExecutionCommand['type'], StopReason>> = {
  PauseExecution: 'paused',
  CancelExecution: 'cancelled',
  RollBackExecution: 'fenced',
  InterruptExecution: 'fenced',
}
