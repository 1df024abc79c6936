/**
 * The commands of one owned partition, from delivery to the committed offset.
 *
 * 1. Commands are handed to the handler in log order, one batch after the other, and only while the partition is owned.
 * 2. A command that was decided before is answered with its recorded outcome and never decided again.
 * 3. An offset is committed only after the outcomes of all commands before it are accepted on the log (or, for a record
 *    that is no command, after its dead letter is written).
 * 4. Commands that retention deleted before they were read are skipped, with an error notice: nobody was told "done" for
 *    them, and waiting for them would stop the partition for ever.
 * 5. At most `maxUndecided` commands are in work; delivery is paused meanwhile.
 */
import { type CommandEnvelope, type ErrorCode, OmiumError } from '@omium/schemas'
import type { CommitQueue } from './commit-queue.ts'
import type { Command, ContextHandler, LogContext, OwnerOptions } from './contract.ts'
import type { DeadLetterWriter } from './dead-letters.ts'
import { type Counters, messageOf } from './notices.ts'
import type { PartitionOwner } from './partition-owner.ts'
import { backoffMs, pause, type Timers } from './timers.ts'
import type { GroupMember, ReadBatch, StoredRecord } from './transport.ts'

export interface CommandFeedDeps<S> {
  readonly context: LogContext
  readonly topic: string
  readonly owner: PartitionOwner<S>
  readonly handler: ContextHandler<S>
  readonly options: OwnerOptions<S>
  readonly deadLetters: DeadLetterWriter
  readonly commits: CommitQueue
  readonly timers: Timers
  readonly counters: Counters
}

const maxUndecided = 2_000
const commitEveryMs = 200

export class CommandFeed<S> {
  readonly #deps: CommandFeedDeps<S>
  readonly #partition: number
  #member: GroupMember
  /** the next offset to take; everything before was taken already or is committed */
  #position = 0
  #started = false
  #paused = true
  #skipping = false
  #closed = false
  #work: Promise<void> = Promise.resolve()
  #inWork = 0
  #onIdle: (() => void) | undefined
  #cancelCommit: (() => void) | undefined
  /** an offset whose commit failed */
  #uncommitted: number | undefined
  #committing: Promise<void> = Promise.resolve()

  constructor(deps: CommandFeedDeps<S>, member: GroupMember) {
    this.#deps = deps
    this.#partition = deps.owner.partition
    this.#member = member
  }

  /** Starts delivery at the committed offset, or at the first command that there is. */
  async start(): Promise<void> {
    const position = await this.#answered(
      'where to start is not known yet',
      async () => (await this.#member.committed(this.#deps.topic, this.#partition)) ?? (await this.#first()),
    )
    if (position === undefined) return
    this.#started = true
    this.#paused = false
    this.#goTo(position)
    this.#member.resume(this.#deps.topic, this.#partition)
  }

  /** After a rebalance that left the partition here: delivery goes on where it stood. */
  keep(member: GroupMember): void {
    const { topic } = this.#deps
    this.#member = member
    member.pause(topic, this.#partition)
    if (!this.#started) return
    this.#goTo(this.#position)
    if (!this.#paused) member.resume(topic, this.#partition)
  }

  /** The log does not have the position any more: delivery goes on at the first command that it has. */
  async halted(): Promise<void> {
    if (!this.#started || this.#skipping) return
    this.#skipping = true
    const first = await this.#answered('where the commands begin is not known yet', () => this.#first())
    this.#skipping = false
    if (first === undefined) return
    this.#deps.counters.add('truncations')
    this.#notice('error', 'commands were deleted before they were read; going on at the first that exists', {
      position: this.#position,
      first,
    })
    this.#goTo(first)
  }

  #goTo(offset: number): void {
    this.#position = offset
    this.#member.seek(this.#deps.topic, this.#partition, offset)
  }

  async #first(): Promise<number> {
    const { context, topic } = this.#deps
    const first = (await context.transport.startOffsets(topic)).get(this.#partition)
    if (first === undefined) throw new OmiumError('log_unreachable', `${topic} has no partition ${this.#partition}`)
    return first
  }

  /** Asks until there is an answer; undefined when the feed was closed meanwhile. */
  async #answered<T>(problem: string, ask: () => Promise<T>): Promise<T | undefined> {
    for (let attempt = 0; !this.#closed; attempt++) {
      try {
        const answer = await ask()
        return this.#closed ? undefined : answer
      } catch (error) {
        this.#notice('warn', problem, { error: messageOf(error) })
        await pause(this.#deps.timers, backoffMs(attempt, 50, 2_000))
      }
    }
    return undefined
  }

  deliver(batch: ReadBatch): void {
    if (this.#closed || !this.#started) return
    const fresh = batch.records.filter((record) => record.offset >= this.#position)
    if (fresh.length === 0) return
    this.#position = batch.nextOffset
    const done = fresh.map((record) => this.#deps.commits.track(record.offset))
    if (this.#deps.commits.undecided > maxUndecided && !this.#paused) {
      this.#paused = true
      this.#member.pause(this.#deps.topic, this.#partition)
    }
    this.#work = this.#work.then(() => this.#handleBatch(fresh, done))
  }

  /** Resolves when every command that was handed to the handler has its outcome, or the partition is lost. */
  async idle(): Promise<void> {
    await this.#work
    if (this.#inWork === 0) return
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
  }

  /** Takes nothing more. */
  close(): void {
    this.#closed = true
    this.#cancelCommit?.()
    this.#cancelCommit = undefined
  }

  /** Commits what is decided; for the moment before leaving. */
  async commitNow(): Promise<void> {
    await this.#committing
    await this.#commit()
  }

  async #handleBatch(records: readonly StoredRecord[], done: readonly (() => void)[]): Promise<void> {
    await this.#answered('the schemas of commands cannot be learned yet', () => this.#deps.context.codec.learn(records))
    for (const [i, record] of records.entries()) {
      if (this.#closed || !this.#deps.owner.live) return
      this.#inWork++
      this.#outcome(record)
        .then(
          () => this.#decided(done[i]),
          () => undefined,
        )
        .finally(() => {
          if (--this.#inWork === 0) this.#onIdle?.()
        })
    }
  }

  #decided(done: (() => void) | undefined): void {
    done?.()
    if (this.#closed) return
    if (this.#paused && this.#deps.commits.undecided <= maxUndecided / 2) {
      this.#paused = false
      this.#member.resume(this.#deps.topic, this.#partition)
    }
    this.#commitSoon()
  }

  #commitSoon(): void {
    if (this.#closed) return
    this.#cancelCommit ??= this.#deps.timers.after(commitEveryMs, () => {
      this.#cancelCommit = undefined
      this.#committing = this.#committing.then(() => this.#commit())
    })
  }

  async #commit(): Promise<void> {
    const nextOffset = this.#deps.commits.take() ?? this.#uncommitted
    if (nextOffset === undefined) return
    this.#uncommitted = undefined
    try {
      await this.#member.commit(this.#deps.topic, this.#partition, nextOffset)
      this.#deps.counters.add('commits')
    } catch (error) {
      // harmless while it lasts: the commands would come again and be answered as decided
      this.#notice('info', 'an offset was not committed', { nextOffset, error: messageOf(error) })
      this.#uncommitted ??= nextOffset
      this.#commitSoon()
    }
  }

  /** Resolves when the record's outcome is on the log; rejects only when the partition is lost. */
  async #outcome(record: StoredRecord): Promise<void> {
    try {
      await this.#handle(record)
    } catch (error) {
      if (!this.#deps.owner.live) throw error
      // not even an answer can be written, e.g. because what it repeats of the command is too large
      await this.#deadLetter(record, 'internal', `the command cannot be answered: ${messageOf(error)}`)
    }
  }

  async #handle(record: StoredRecord): Promise<void> {
    const { owner, context } = this.#deps
    const envelope = context.codec.commandEnvelope(record)
    if (envelope === undefined) return this.#deadLetter(record, 'record_undecodable', 'the headers are no envelope')
    const command = this.#decode(record, envelope)
    if (command instanceof OmiumError) {
      await this.#deadLetter(record, 'record_undecodable', command.message)
      await this.#answer(bare(record, envelope), 'record_undecodable', command.message)
      return
    }
    this.#deps.counters.add('commands')
    if (owner.outcomeOf(envelope.id) !== undefined) {
      this.#deps.counters.add('deduplicated')
      await owner.deduplicate(command)
      return
    }
    if (owner.isParked(envelope.aggregate)) {
      await owner.reject(
        command,
        'execution_parked',
        `${envelope.aggregate} is parked on a record that cannot be applied`,
      )
      return
    }
    await this.#decide(record, command)
  }

  async #decide(record: StoredRecord, command: Command): Promise<void> {
    const { owner, handler } = this.#deps
    let detail: string
    let code: ErrorCode = 'internal'
    try {
      await handler.command(owner, command)
      if (owner.outcomeOf(command.envelope.id) !== undefined) return
      detail = `the handler of ${command.type} neither appended nor rejected`
    } catch (error) {
      if (!owner.live) throw error
      detail = `the handler of ${command.type} failed: ${messageOf(error)}`
      if (error instanceof OmiumError) code = error.code
    }
    await this.#deadLetter(record, code, detail)
    await this.#answer(command, code, detail)
  }

  /** Records a rejection, unless the command was decided before it failed. */
  async #answer(command: Command, code: ErrorCode, detail: string): Promise<void> {
    const { owner } = this.#deps
    if (owner.outcomeOf(command.envelope.id) === undefined) await owner.reject(command, code, detail)
    else await owner.settled()
  }

  #decode(record: StoredRecord, envelope: CommandEnvelope): Command | OmiumError {
    const { type, schemaVersion } = envelope
    try {
      const data = this.#deps.context.codec.decode('command', type, schemaVersion, record)
      return { envelope, type, data, partition: record.partition, offset: record.offset }
    } catch (error) {
      return new OmiumError('record_undecodable', `command ${type} v${schemaVersion}: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }

  /** Keeps trying while the partition is owned: the offset must not pass the record before its letter is written. */
  async #deadLetter(record: StoredRecord, code: ErrorCode, detail: string): Promise<void> {
    const { deadLetters, counters, owner, options } = this.#deps
    counters.add('deadLetters')
    this.#notice('error', 'a command is a dead letter', { offset: record.offset, code, detail })
    for (;;) {
      try {
        await deadLetters.write({ source: record, code, detail, reportedBy: options.owner })
        return
      } catch (error) {
        if (!owner.live) throw error
        this.#notice('warn', 'a dead letter cannot be written yet', { offset: record.offset, error: messageOf(error) })
      }
    }
  }

  #notice(level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown>): void {
    this.#deps.options.onNotice({ level, message, fields: { partition: this.#partition, ...fields } })
  }
}

/** A command whose payload is unreadable, to be answered nevertheless. */
const bare = ({ partition, offset }: StoredRecord, envelope: CommandEnvelope): Command => ({
  envelope,
  type: envelope.type,
  data: undefined,
  partition,
  offset,
})
