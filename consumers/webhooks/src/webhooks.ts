import { authorOf, HostedPartition } from '@omium/kit'
import type { Command, ContextHandler, OwnedPartition } from '@omium/log'
import { parseAggregateKey, type WebhookEndpointCommand } from '@omium/schemas'
import { Dispatcher, type DispatcherOptions } from './dispatcher.ts'
import { decide } from './domain/decide.ts'
import { Forgetter, type ForgetterOptions } from './forgetter.ts'
import type { PartitionState } from './machine.ts'
import { Replayer, type ReplayerOptions } from './replayer.ts'

/**
 * The webhooks of one process: endpoints of the partitions that it owns, what they have pending, their replays, and
 * how long what ended is kept.
 *
 * 1. Nothing is sent that is not accepted as pending; an answer counts when its event is accepted.
 * 2. Everything that is done follows from state, and is taken up again by {@link owned}.
 */
export interface WebhooksOptions extends DispatcherOptions, ReplayerOptions, ForgetterOptions {}

interface Hosted {
  readonly partition: HostedPartition<PartitionState>
  readonly dispatcher: Dispatcher
  readonly replayer: Replayer
  readonly forgetter: Forgetter
}

export class Webhooks implements ContextHandler<PartitionState> {
  readonly #options: WebhooksOptions
  readonly #partitions = new Map<number, Hosted>()

  constructor(options: WebhooksOptions) {
    this.#options = options
  }

  owned(log: OwnedPartition<PartitionState>): void {
    const { notices } = this.#options
    const settle = (aggregate: string): void => {
      dispatcher.settle(aggregate)
      replayer.settle(aggregate)
      forgetter.settle(aggregate)
    }
    const partition = new HostedPartition(log, {
      onFault: (err) => notices.error({ err, partition: log.partition }, 'what follows from accepted events failed'),
      onSettled: settle,
    })
    const dispatcher = new Dispatcher(partition, this.#options)
    const replayer = new Replayer(partition, this.#options)
    const forgetter = new Forgetter(partition, this.#options)
    this.#partitions.set(log.partition, { partition, dispatcher, replayer, forgetter })
    for (const aggregate of log.state.endpoints.keys()) settle(aggregate)
  }

  lost(partition: number): void {
    const hosted = this.#partitions.get(partition)
    this.#partitions.delete(partition)
    hosted?.dispatcher.close()
    hosted?.replayer.close()
    hosted?.forgetter.close()
  }

  command(log: OwnedPartition<PartitionState>, command: Command): Promise<unknown> {
    const partition = this.#partitions.get(log.partition)?.partition
    if (!partition) throw new RangeError(`a command came for partition ${log.partition}, which is not owned`)
    const { aggregate, tenant, actor } = command.envelope
    const key = parseAggregateKey(aggregate)
    if (key?.type !== 'webhook_endpoint' || key.tenant !== tenant) {
      const detail = `${command.type} is for an aggregate webhook_endpoint:<tenant>/<id> of its own tenant`
      return partition.reject(command, 'invalid_request', detail)
    }
    const { type, data } = command
    const decision = decide(partition.state.endpoints.get(aggregate), { type, data } as WebhookEndpointCommand, {
      by: actor,
      nowMs: this.#options.clock.nowMs(),
      known: log.versionOf(aggregate) > 0,
    })
    if (decision.status === 'refused') return partition.reject(command, decision.code, decision.detail)
    const { events } = decision
    if (events.length === 0) return partition.recordDeduplicated(command)
    const closes = events.at(-1)?.type === 'WebhookEndpointRemoved'
    return partition.record(aggregate, events, authorOf(command), closes)
  }

  /** messages that wait to be delivered, for metrics */
  get pending(): number {
    let count = 0
    for (const { partition } of this.#partitions.values())
      for (const { pending } of partition.state.endpoints.values()) count += pending.size
    return count
  }
}
