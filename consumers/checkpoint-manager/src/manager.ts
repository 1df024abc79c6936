import { authorOf, bySystem, type Clock, HostedPartition, type Notices } from '@omium/kit'
import type { Command, ContextHandler, OwnedPartition } from '@omium/log'
import {
  aggregateKey,
  type CheckpointCommand,
  type CheckpointRef,
  mayBeSwept,
  OmiumError,
  parseAggregateKey,
  parseCheckpointObjectKey,
} from '@omium/schemas'
import { decideCommand, expire } from './domain/decide.ts'
import { nextExpiry } from './domain/retention.ts'
import { referredTo, refKey } from './domain/thread.ts'
import type { PartitionState } from './machine.ts'
import type { ManagerMeasures, ObjectListing, Objects, RunHistory } from './ports.ts'
import { journalBytes } from './run-checkpoints.ts'

/**
 * The checkpoint manager of one process: decides the commands of the partitions that it owns, makes damaged checkpoints of
 * runs again from the log, lets go of what retention lets go of, and removes objects that nothing refers to.
 *
 * 1. Everything that it knows about checkpoints is an accepted event. What it still has to do (rebuild, expire, sweep) is
 *    derived from the state, so whoever takes a partition over does it.
 * 2. An object is removed only when it is old, and nothing in the accepted state of its thread refers to it. No thread can
 *    begin to refer to an old object (object-key.ts), so it does not matter how long ago the state was looked at, or whether
 *    the partition has another owner by now.
 */
export interface ManagerOptions {
  readonly objects: Objects
  readonly listing: ObjectListing
  readonly history: RunHistory
  readonly clock: Clock
  readonly notices: Notices
  readonly measures: ManagerMeasures
  /** partition of an aggregate */
  partitionOf(aggregate: string): number
}

type Threads = HostedPartition<PartitionState>

export class CheckpointManager implements ContextHandler<PartitionState> {
  readonly #owned = new Map<number, Threads>()
  /** rebuilds in flight, by thread and checkpoint */
  readonly #rebuilding = new Set<string>()
  readonly #options: ManagerOptions

  constructor(options: ManagerOptions) {
    this.#options = options
  }

  get partitions(): readonly number[] {
    return [...this.#owned.keys()]
  }

  get counts(): { threads: number; checkpoints: number } {
    let threads = 0
    let checkpoints = 0
    for (const { state } of this.#owned.values()) {
      threads += state.threads.size
      for (const thread of state.threads.values()) checkpoints += thread.checkpoints.size
    }
    return { threads, checkpoints }
  }

  owned(log: OwnedPartition<PartitionState>): void {
    const { notices } = this.#options
    const partition: Threads = new HostedPartition(log, {
      onFault: (err) => notices.error({ err, partition: log.partition }, 'what follows from accepted events failed'),
    })
    this.#owned.set(log.partition, partition)
    for (const [aggregate, thread] of log.state.threads) {
      for (const checkpoint of thread.checkpoints.values()) {
        if (checkpoint.corrupted && checkpoint.kind === 'run') void this.#rebuild(partition, aggregate, checkpoint)
      }
    }
  }

  lost(partition: number): void {
    this.#owned.delete(partition)
  }

  command(log: OwnedPartition<PartitionState>, command: Command): Promise<unknown> {
    const partition = this.#owned.get(log.partition)
    if (!partition) throw new RangeError(`a command came for partition ${log.partition}, which is not owned`)
    const { aggregate, tenant, actor: by } = command.envelope
    const key = parseAggregateKey(aggregate)
    if (key?.type !== 'thread' || key.tenant !== tenant) {
      return partition.reject(
        command,
        'invalid_request',
        `${command.type} is for a thread:<tenant>/<id> of its own tenant`,
      )
    }
    const asked = { type: command.type, data: command.data } as CheckpointCommand
    const nowMs = this.#options.clock.nowMs()
    const decision = decideCommand(partition.state.threads.get(aggregate), asked, {
      tenant,
      threadId: key.id,
      nowMs,
      by,
    })
    this.#options.measures.decided(command.type)
    if (decision.status === 'refused') return partition.reject(command, decision.code, decision.detail)
    if (decision.events.length === 0) return partition.recordDeduplicated(command)
    const recorded = partition.record(aggregate, decision.events, authorOf(command))
    for (const event of decision.events) {
      if (event.type !== 'CheckpointCorrupted') continue
      this.#options.measures.corrupted(event.data.found)
      const { namespace, checkpointId, found } = event.data
      this.#options.notices.warn({ tenant, thread: key.id, namespace, checkpointId, found }, 'a checkpoint is damaged')
      void recorded.then(
        () => this.#rebuild(partition, aggregate, event.data),
        () => undefined,
      )
    }
    return recorded
  }

  /** Makes a checkpoint of a run again from the run's own history. */
  async #rebuild(partition: Threads, aggregate: string, ref: CheckpointRef): Promise<void> {
    const { history, objects, notices, measures } = this.#options
    const work = `${aggregate} ${refKey(ref)}`
    const find = () => {
      const checkpoint = partition.state.threads.get(aggregate)?.checkpoints.get(refKey(ref))
      return checkpoint?.corrupted && checkpoint.kind === 'run' ? checkpoint : undefined
    }
    const point = find()?.point
    const thread = partition.state.threads.get(aggregate)
    if (!point || !thread || this.#rebuilding.has(work)) return
    this.#rebuilding.add(work)
    const { tenant, threadId } = thread
    const { namespace, checkpointId } = ref
    try {
      const journal = await history.journalAt(tenant, point.executionId, point.version)
      const object = await objects.store(tenant, threadId, journalBytes(journal))
      if (!partition.live || !find()) return
      const data = { namespace, checkpointId, object }
      await partition.record(aggregate, [{ type: 'CheckpointRebuilt', data }], byManager(tenant, aggregate))
      measures.rebuilt()
      notices.info({ tenant, thread: threadId, checkpointId }, 'a checkpoint was made again from the log')
    } catch (error) {
      if (partition.live) {
        notices.warn({ err: error, tenant, thread: threadId, checkpointId }, 'a checkpoint cannot be made again')
        const why = (error instanceof OmiumError ? `${error.code}: ${error.message}` : String(error)).slice(0, 2000)
        const data = { namespace, checkpointId, why }
        // readers wait for it; when the partition is lost, its next owner tries
        await partition
          .record(aggregate, [{ type: 'CheckpointRebuildFailed', data }], byManager(tenant, aggregate))
          .catch(() => undefined)
      }
    } finally {
      this.#rebuilding.delete(work)
    }
  }

  /** Lets go of checkpoints that are too old for their thread's retention. */
  async expire(): Promise<void> {
    const nowMs = this.#options.clock.nowMs()
    const appends: Promise<unknown>[] = []
    for (const partition of this.#owned.values()) {
      if (!partition.live) continue
      for (const [aggregate, thread] of partition.state.threads) {
        const due = nextExpiry(thread)
        if (due === null || due > nowMs) continue
        const events = expire(thread, nowMs)
        if (events.length > 0) appends.push(partition.record(aggregate, events, byManager(thread.tenant, aggregate)))
      }
    }
    await Promise.all(appends)
  }

  /**
   * Removes objects of the owned partitions' threads that are old and that nothing refers to. No more than a page of keys is
   * in memory at once. @returns how many
   */
  async sweep(): Promise<number> {
    let removed = 0
    for await (const keys of this.#options.listing.pages()) removed += await this.#sweep(keys)
    return removed
  }

  async #sweep(keys: readonly string[]): Promise<number> {
    const { listing, clock, measures, partitionOf } = this.#options
    const garbage = new Map<Threads, string[]>()
    const referred = new Map<string, ReadonlySet<string>>()
    for (const key of keys) {
      const object = parseCheckpointObjectKey(key)
      if (!object || !mayBeSwept(object, clock.nowMs())) continue
      const aggregate = aggregateKey('thread', object.tenant, object.threadId)
      const partition = this.#owned.get(partitionOf(aggregate))
      if (!partition?.live) continue
      let needed = referred.get(aggregate)
      if (!needed) {
        const thread = partition.state.threads.get(aggregate)
        needed = thread ? referredTo(thread) : new Set()
        referred.set(aggregate, needed)
      }
      if (!needed.has(key)) garbage.set(partition, [...(garbage.get(partition) ?? []), key])
    }
    let removed = 0
    for (const [partition, unneeded] of garbage) {
      // the state may hold deletions that the log has not accepted, and never will if the partition is lost
      await partition.accepted()
      for (const key of unneeded) {
        await listing.remove(key)
        measures.swept()
        removed++
      }
    }
    return removed
  }
}

/** What follows from time or from the state of the world, not from a command: a chain of its own. */
const byManager = (tenant: string, aggregate: string) => bySystem({ tenant, correlationId: aggregate })
