import { parseAggregateKey } from '@omium/schemas'
import { openOwner } from './context-owner.ts'
import type { ContextOwner, LogContext, OwnedPartition } from './contract.ts'
import { partitionFor } from './partitioning.ts'

/** Owns every partition of a context and appends whatever a spec says, through the real log core: decisions are left out. */
export class HistoryWriter {
  readonly owned: ReadonlyMap<number, OwnedPartition<null>>
  readonly #owner: ContextOwner

  private constructor(owner: ContextOwner, owned: ReadonlyMap<number, OwnedPartition<null>>) {
    this.#owner = owner
    this.owned = owned
  }

  /** Resolves once every partition is owned. */
  static async open(context: LogContext, partitions: number): Promise<HistoryWriter> {
    const owned = new Map<number, OwnedPartition<null>>()
    const all = Promise.withResolvers<void>()
    const owner = await openOwner(context, {
      machine: { version: 1, empty: () => null, apply: () => undefined, encode: () => null, decode: () => null },
      handler: {
        owned: (partition) => {
          owned.set(partition.partition, partition)
          if (owned.size === partitions) all.resolve()
        },
        command: (partition, command) => partition.reject(command, 'internal', 'this owner decides nothing'),
        lost: (partition) => void owned.delete(partition),
      },
      snapshots: {
        list: async () => [],
        load: () => Promise.reject(new Error('there are no snapshots')),
        save: async () => undefined,
        remove: async () => undefined,
      },
      snapshotEvery: 1_000_000,
      owner: 'history-writer',
      sessionTimeoutMs: 6_000,
      onNotice: () => undefined,
    })
    await all.promise
    return new HistoryWriter(owner, owned)
  }

  /** Resolves once the events are accepted. */
  async write(
    aggregate: string,
    events: readonly { readonly type: string; readonly data: unknown }[],
    actor = 'system',
  ): Promise<void> {
    const tenant = parseAggregateKey(aggregate)?.tenant
    const owned = this.owned.get(partitionFor(aggregate, this.owned.size))
    if (tenant === undefined || !owned) throw new Error(`${aggregate} is no aggregate, or its partition is not owned`)
    await owned.append(events.map((event) => ({ ...event, aggregate, tenant, actor, correlationId: 'spec' })))
  }

  close(): Promise<void> {
    return this.#owner.close()
  }
}
