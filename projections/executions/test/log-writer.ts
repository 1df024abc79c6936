import { type ContextOwner, type LogContext, type OwnedPartition, openOwner, partitionFor } from '@omium/log'
import { aggregateKey, type ExecutionContextEvent } from '@omium/schemas'

/** Owns every partition of the execution context and appends what a spec says, through the real log core. */
export class LogWriter {
  readonly #owned = new Map<number, OwnedPartition<null>>()
  readonly #partitions: number
  readonly #owner: Promise<ContextOwner>

  constructor(context: LogContext, partitions: number) {
    this.#partitions = partitions
    this.#owner = openOwner(context, {
      machine: { version: 1, empty: () => null, apply: () => undefined, encode: () => null, decode: () => null },
      handler: {
        owned: (partition) => void this.#owned.set(partition.partition, partition),
        command: (partition, command) => partition.reject(command, 'internal', 'this owner decides nothing'),
        lost: (partition) => void this.#owned.delete(partition),
      },
      snapshots: {
        list: async () => [],
        load: () => Promise.reject(new Error('there are no snapshots')),
        save: async () => undefined,
        remove: async () => undefined,
      },
      snapshotEvery: 1_000_000,
      owner: 'log-writer',
      sessionTimeoutMs: 6_000,
      onNotice: () => undefined,
    })
  }

  get owned(): ReadonlyMap<number, OwnedPartition<null>> {
    return this.#owned
  }

  partitionOf(tenant: string, executionId: string): number {
    return partitionFor(aggregateKey('execution', tenant, executionId), this.#partitions)
  }

  /** resolves once the events are accepted */
  async write(tenant: string, executionId: string, events: readonly ExecutionContextEvent[]): Promise<void> {
    const owned = this.#owned.get(this.partitionOf(tenant, executionId))
    if (!owned) throw new Error(`the partition of ${executionId} is not owned`)
    const aggregate = aggregateKey('execution', tenant, executionId)
    await owned.append(
      events.map((event) => ({ ...event, aggregate, tenant, actor: 'worker:w', correlationId: 'spec' })),
    )
  }

  async close(): Promise<void> {
    await (await this.#owner).close()
  }
}
