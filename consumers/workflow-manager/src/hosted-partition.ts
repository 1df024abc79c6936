import { type Clock, HostedPartition as Hosted, type Notices, Outbox } from '@omium/kit'
import type { OwnedPartition } from '@omium/log'
import { type Owed, owedBySchedule, owedByTrigger, owedByWorkflow } from './domain/owed.ts'
import type { PartitionState } from './machine.ts'
import type { Following } from './ports.ts'

export interface HostedPartitionOptions {
  readonly clock: Clock
  readonly notices: Notices
  send(partition: HostedPartition, aggregate: string, owed: Owed): Promise<unknown>
  /** everything appended for the aggregate is accepted, and what it owes is being sent */
  settled(partition: HostedPartition, aggregate: string): void
}

/** What an aggregate owes by the state of its partition. */
const owedBy = ({ workflows, schedules, triggers }: PartitionState, aggregate: string): Owed[] => {
  const workflow = workflows.get(aggregate)
  if (workflow) return owedByWorkflow(workflow)
  const schedule = schedules.get(aggregate)
  if (schedule) return owedBySchedule(schedule)
  const trigger = triggers.get(aggregate)
  return trigger ? owedByTrigger(trigger) : []
}

/** A partition that this process owns, with what the manager holds beside its state. */
export class HostedPartition extends Hosted<PartitionState> {
  /** when each schedule is looked at next */
  readonly armed = new Map<string, number>()
  /** topics that triggers follow, by aggregate */
  readonly topics = new Map<string, { readonly topic: string; readonly following: Following }>()
  readonly #outbox: Outbox<PartitionState, Owed>
  readonly #settled: (aggregate: string) => void

  constructor(log: OwnedPartition<PartitionState>, { clock, notices, send, settled }: HostedPartitionOptions) {
    super(log, {
      onFault: (err) => notices.error({ err, partition: log.partition }, 'what follows from accepted events failed'),
      onSettled: (aggregate) => this.settle(aggregate),
    })
    this.#outbox = new Outbox(log, { clock, notices, owedBy, send: (aggregate, owed) => send(this, aggregate, owed) })
    this.#settled = (aggregate) => settled(this, aggregate)
  }

  /** Everything that the aggregate asks for now. */
  settle(aggregate: string): void {
    this.#outbox.settle(aggregate)
    this.#settled(aggregate)
  }
}
