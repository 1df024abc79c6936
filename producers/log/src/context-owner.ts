/**
 * A process as a member of a context's owner group: it owns what the group assigns to it, one PartitionOwner for each
 * partition, and gives up what is taken away.
 *
 * 1. The group's word only says for which partitions to claim; claims and epochs decide who owns.
 * 2. What stays with this member through a rebalance is left alone.
 * 3. A partition that was lost to a claim while the group still assigns it here is claimed again after a while: the
 *    claimer may have been a zombie. If it was not, the group takes the partition away soon.
 */
import { commandsTopic, eventsTopic, OmiumError } from '@omium/schemas'
import { CommandFeed } from './command-feed.ts'
import type { ContextOwner, LogContext, OpenOwner, OwnerOptions } from './contract.ts'
import { type DeadLetterWriter, openDeadLetterWriter } from './dead-letters.ts'
import { GroupCommit } from './group-commit.ts'
import { Counters, messageOf } from './notices.ts'
import type { PartitionOwner } from './partition-owner.ts'
import { type OwnerParts, ownerParts } from './parts.ts'
import { backoffMs, pause, systemTimers, type Timers } from './timers.ts'
import type { GroupMember, ReadBatch } from './transport.ts'
import type { LogWriter } from './writer.ts'

/** One assigned partition: while it is being acquired, and while it is owned. */
interface Seat<S> {
  readonly partition: number
  owner: PartitionOwner<S> | undefined
  feed: CommandFeed<S> | undefined
  revoked: boolean
}

const firstBackoffMs = 50
const maxBackoffMs = 2_000
const commandAttempts = 8

class Owner<S> implements ContextOwner {
  readonly #context: LogContext
  readonly #options: OwnerOptions<S>
  readonly #parts: OwnerParts
  readonly #timers: Timers
  readonly #counters = new Counters()
  readonly #commandsTopic: string
  readonly #partitionCount: number
  readonly #seats = new Map<number, Seat<S>>()
  readonly #writer: LogWriter
  readonly #commands: GroupCommit
  readonly #deadLetters: DeadLetterWriter
  #member: GroupMember | undefined
  #closed = false

  constructor(
    context: LogContext,
    options: OwnerOptions<S>,
    parts: OwnerParts,
    opened: { partitionCount: number; deadLetters: DeadLetterWriter },
  ) {
    this.#context = context
    this.#options = options
    this.#parts = parts
    this.#timers = context.timers ?? systemTimers
    this.#commandsTopic = commandsTopic(context.topicPrefix, context.definition.name)
    this.#partitionCount = opened.partitionCount
    this.#deadLetters = opened.deadLetters
    this.#commands = new GroupCommit({
      transport: context.transport,
      timers: this.#timers,
      maxAttempts: commandAttempts,
    })
    this.#writer = parts.createWriter({
      transport: context.transport,
      codec: context.codec,
      topic: eventsTopic(context.topicPrefix, context.definition.name),
      timers: this.#timers,
      counters: this.#counters,
      onNotice: options.onNotice,
    })
  }

  get partitions(): readonly number[] {
    return [...this.#seats.values()].filter(({ owner }) => owner?.live === true).map(({ partition }) => partition)
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters.values
  }

  async join(): Promise<void> {
    const { definition, topicPrefix, transport } = this.#context
    this.#member = await transport.joinGroup({
      groupId: `${topicPrefix}.${definition.name}.owners`,
      topics: [this.#commandsTopic],
      sessionTimeoutMs: this.#options.sessionTimeoutMs,
      onAssigned: (partitions, member) => this.#assigned(partitions, member),
      onBatch: (batch) => this.#deliver(batch),
      onLost: () => this.#assigned([], undefined),
      onHalted: (_topic, partition) => void this.#seats.get(partition)?.feed?.halted(),
    })
  }

  #assigned(partitions: readonly number[], member: GroupMember | undefined): void {
    if (this.#closed) return
    if (member) this.#member = member
    for (const seat of [...this.#seats.values()]) if (!partitions.includes(seat.partition)) this.#revoke(seat)
    if (member === undefined) return
    for (const partition of partitions) {
      const seat = this.#seats.get(partition)
      if (seat?.feed) seat.feed.keep(member)
      else member.pause(this.#commandsTopic, partition)
      if (seat === undefined) this.#take(partition)
    }
  }

  #take(partition: number): void {
    const seat: Seat<S> = { partition, owner: undefined, feed: undefined, revoked: false }
    this.#seats.set(partition, seat)
    void this.#acquire(seat)
  }

  async #acquire(seat: Seat<S>): Promise<void> {
    const { partition } = seat
    for (let attempt = 0; !seat.revoked; attempt++) {
      const owner = this.#parts.createPartitionOwner(
        {
          context: this.#context,
          partition,
          partitionCount: this.#partitionCount,
          writer: this.#writer,
          commands: this.#commands,
          deadLetters: this.#deadLetters,
          counters: this.#counters,
          compression: this.#parts.compression,
          createFold: () => this.#parts.createFold(),
          onLost: (lost, error) => this.#lost(seat, lost, error),
        },
        this.#options,
      )
      seat.owner = owner
      try {
        await owner.acquire()
        await this.#own(seat, owner)
        return
      } catch (error) {
        if (seat.owner !== owner) return
        const wasOwned = seat.feed !== undefined
        this.#unseat(seat)
        if (wasOwned) this.#tellLost(partition)
        this.#notice('warn', 'a partition is not acquired yet', { partition, attempt, error: messageOf(error) })
        await pause(this.#timers, backoffMs(attempt, firstBackoffMs, maxBackoffMs))
      }
    }
  }

  async #own(seat: Seat<S>, owner: PartitionOwner<S>): Promise<void> {
    const member = this.#member
    if (member === undefined || seat.revoked || !owner.live)
      throw new OmiumError('log_fenced', 'the partition was taken away')
    const feed = new CommandFeed(
      {
        context: this.#context,
        topic: this.#commandsTopic,
        owner,
        handler: this.#options.handler,
        options: this.#options,
        deadLetters: this.#deadLetters,
        commits: this.#parts.createCommitQueue(),
        timers: this.#timers,
        counters: this.#counters,
      },
      member,
    )
    seat.feed = feed
    this.#notice('info', 'a partition is owned', { partition: owner.partition, epoch: owner.epoch })
    this.#options.handler.owned(owner)
    await feed.start()
  }

  #deliver(batch: ReadBatch): void {
    if (batch.topic === this.#commandsTopic) this.#seats.get(batch.partition)?.feed?.deliver(batch)
  }

  /** Fenced: somebody else claimed, or the writer gave the partition up. */
  #lost(seat: Seat<S>, owner: PartitionOwner<S>, error: OmiumError): void {
    if (seat.owner !== owner || seat.feed === undefined) return
    this.#unseat(seat)
    this.#counters.add('lost')
    this.#notice('warn', 'a partition is lost', { partition: seat.partition, error: error.message })
    this.#tellLost(seat.partition)
    if (seat.revoked || this.#closed) return
    this.#member?.pause(this.#commandsTopic, seat.partition)
    this.#timers.after(firstBackoffMs * 5, () => {
      if (!seat.revoked && !this.#closed) void this.#acquire(seat)
    })
  }

  #revoke(seat: Seat<S>): void {
    const owned = seat.feed !== undefined
    seat.revoked = true
    this.#seats.delete(seat.partition)
    this.#unseat(seat)
    if (!owned) return
    this.#notice('info', 'a partition was taken away', { partition: seat.partition })
    this.#tellLost(seat.partition)
  }

  /** Whoever calls this is in the middle of something that must not be broken off. */
  #tellLost(partition: number): void {
    try {
      this.#options.handler.lost(partition)
    } catch (error) {
      this.#notice('error', 'a handler failed when it was told of a loss', { partition, error: messageOf(error) })
    }
  }

  #unseat(seat: Seat<S>): void {
    const { feed, owner } = seat
    seat.feed = undefined
    seat.owner = undefined
    feed?.close()
    owner?.drop()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const seats = [...this.#seats.values()]
    await Promise.all(seats.map((seat) => this.#finish(seat)))
    for (const seat of seats) this.#revoke(seat)
    await this.#member
      ?.leave()
      .catch((error) => this.#notice('warn', 'leaving the group failed', { error: messageOf(error) }))
    await this.#writer.close()
    // what is given up here is sent again by whoever owns the partitions next
    const { sessionTimeoutMs } = this.#options
    await Promise.all([this.#commands.close(sessionTimeoutMs), this.#deadLetters.close(sessionTimeoutMs)])
  }

  /** What is in flight is finished, within a session: after that the group would take the partition away anyhow. */
  async #finish(seat: Seat<S>): Promise<void> {
    const { owner, feed } = seat
    if (owner === undefined || feed === undefined) return
    this.#member?.pause(this.#commandsTopic, seat.partition)
    feed.close()
    const bound = new Promise<void>((resolve) => {
      const cancel = this.#timers.after(this.#options.sessionTimeoutMs, resolve)
      void this.#finishOwned(owner, feed).finally(() => {
        cancel()
        resolve()
      })
    })
    await bound
  }

  async #finishOwned(owner: PartitionOwner<S>, feed: CommandFeed<S>): Promise<void> {
    await feed.idle()
    await owner.settled()
    await feed.commitNow()
    await owner.snapshot()
  }

  #notice(level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown>): void {
    this.#options.onNotice({ level, message, fields: { context: this.#context.definition.name, ...fields } })
  }
}

export const openOwnerWith = async <S>(
  context: LogContext,
  options: OwnerOptions<S>,
  parts: OwnerParts,
): Promise<ContextOwner> => {
  const { transport, topicPrefix, definition } = context
  await context.codec.prepare(definition, ['event', 'command'])
  const commands = await transport.partitionCount(commandsTopic(topicPrefix, definition.name))
  const events = await transport.partitionCount(eventsTopic(topicPrefix, definition.name))
  if (commands !== events) {
    throw new OmiumError(
      'settings_invalid',
      `the topics of context ${definition.name} must have as many partitions; commands ${commands}, events ${events}`,
    )
  }
  const deadLetters = await openDeadLetterWriter(context)
  const owner = new Owner(context, options, parts, { partitionCount: commands, deadLetters })
  await owner.join()
  return owner
}

/**
 * Joins the context's owner group. Resolves when the process is a member; partitions follow through `handler.owned`.
 * @throws OmiumError `log_unreachable`, `schema_incompatible`, `unavailable`, or `settings_invalid` when the topics are not
 *   co-partitioned
 */
export const openOwner: OpenOwner = (context, options) => openOwnerWith(context, options, ownerParts)
