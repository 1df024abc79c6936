import type { Notices } from '@omium/kit'
import type { OwnedPartition } from '@omium/log'
import { aggregateKey } from '@omium/schemas'
import type { OwedCommand } from './domain/outbox.ts'
import type { HostedPartition } from './hosted-partition.ts'

/**
 * Sends what runs owe, again and again until the log has it or the partition belongs to somebody else, who then sends it.
 * Commands of one run go out in order, also when they were owed at different times: a child that is cancelled before it was
 * started would run for ever.
 */
export interface OutboxPort {
  readonly notices: Notices
  /** waits before the next try */
  delay(ms: number): Promise<void>
  /** the command is on the log */
  sent(partition: HostedPartition, aggregate: string, owed: OwedCommand): void
}

const firstDelayMs = 100
const maxDelayMs = 5_000

export class Outbox {
  readonly #port: OutboxPort

  constructor(port: OutboxPort) {
    this.#port = port
  }

  send(
    partition: HostedPartition,
    aggregate: string,
    chain: { tenant: string; correlationId: string },
    owed: readonly OwedCommand[],
  ): Promise<void> {
    const { sending } = partition
    const job = (): Promise<void> => this.sendInAnyOrder(partition, aggregate, chain, owed)
    const earlier = sending.get(aggregate)
    const sent = (earlier ? earlier.then(job, job) : job()).finally(() => {
      if (sending.get(aggregate) === sent) sending.delete(aggregate)
    })
    sending.set(aggregate, sent)
    return sent
  }

  /** Beside whatever else the aggregate has to send. */
  async sendInAnyOrder(
    partition: HostedPartition,
    aggregate: string,
    chain: { tenant: string; correlationId: string },
    owed: readonly OwedCommand[],
  ): Promise<void> {
    for (const command of owed) {
      if (!(await this.#sendOne(partition, chain, command))) return
      this.#port.sent(partition, aggregate, command)
    }
  }

  async #sendOne(
    partition: HostedPartition,
    { tenant, correlationId }: { tenant: string; correlationId: string },
    { id, to, command }: OwedCommand,
  ): Promise<boolean> {
    const log: OwnedPartition<unknown> = partition.log
    const { type, data } = command
    const draft = {
      id,
      type,
      data,
      aggregate: aggregateKey(to.type, tenant, to.id),
      tenant,
      actor: 'system',
      correlationId,
    }
    for (let delayMs = firstDelayMs; partition.live; delayMs = Math.min(maxDelayMs, 2 * delayMs)) {
      try {
        await log.send(draft)
        return partition.live
      } catch (error) {
        this.#port.notices.warn(
          { err: error, command: id, type, aggregate: draft.aggregate },
          'a command could not be sent',
        )
        await this.#port.delay(delayMs)
      }
    }
    return false
  }
}
