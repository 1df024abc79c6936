/**
 * One partition in one process: from an assignment to a claimed, folded, writable state, until it is lost.
 *
 * 1. Acquire: newest usable snapshot, read to the end, claim the next epoch, fold whatever came before the claim. Only
 *    then is `state` current and every older owner fenced.
 * 2. `append` takes effect on state, versions and decided commands at once and synchronously, all or nothing; the fold
 *    follows when the log has accepted. Should the log refuse, the whole partition is dropped with everything optimistic.
 * 3. A snapshot pairs a state with the acceptance of exactly the records in it: the state is encoded now, the acceptance in
 *    the moment when the last record that the state contains is accepted.
 * 4. A record that cannot be decoded or applied parks its aggregate: it is a dead letter, and a record on the log makes
 *    every reader refuse what might still come for it. The rest of the partition goes on. An owner whose machine has
 *    another version than the one that parked, and that could apply the whole history, lifts the parking.
 * 5. A draft that its own machine cannot apply leaves a state that is no fold of the log: nothing is decided on it any
 *    more. The draft's aggregate is parked, then the partition is given up and built anew.
 */
import { commandsTopic, type ErrorCode, type EventEnvelope, eventsTopic, OmiumError } from '@omium/schemas'
import type { AcceptanceFold, Verdict } from './acceptance.ts'
import { commandRecord } from './command-sender.ts'
import type {
  Appended,
  Command,
  CommandDraft,
  CommandOutcome,
  EventDraft,
  LogContext,
  OwnedPartition,
  OwnerOptions,
} from './contract.ts'
import type { DeadLetterWriter } from './dead-letters.ts'
import { outcomeIn, prepareClaim, prepareEvents } from './event-records.ts'
import type { GroupCommit } from './group-commit.ts'
import { type Counters, messageOf } from './notices.ts'
import { type Parking, Parkings } from './parkings.ts'
import { partitionFor } from './partitioning.ts'
import { PendingEffects } from './pending-effects.ts'
import { endOf, readThrough } from './reading.ts'
import { SnapshotKeeper } from './snapshot-keeper.ts'
import type { Compression } from './snapshots.ts'
import type { StoredRecord } from './transport.ts'
import type { LogWriter, PreparedRecord, WritablePartition } from './writer.ts'

export interface PartitionOwnerDeps<S> {
  readonly context: LogContext
  readonly partition: number
  /** of the commands and the events topic */
  readonly partitionCount: number
  readonly writer: LogWriter
  readonly commands: GroupCommit
  readonly deadLetters: DeadLetterWriter
  readonly counters: Counters
  readonly compression: Compression
  createFold(): AcceptanceFold
  /** the partition was lost to another owner, or given up because something impossible happened */
  onLost(owner: PartitionOwner<S>, error: OmiumError): void
}

const maxDetailChars = 8192
const garbageDetail = 'the headers are no envelope'

export class PartitionOwner<S> implements OwnedPartition<S>, WritablePartition {
  readonly partition: number
  fold: AcceptanceFold
  state: S
  /** the epoch this owner writes with; 0 until it claims */
  epoch = 0
  protected readonly deps: PartitionOwnerDeps<S>
  protected readonly options: OwnerOptions<S>
  readonly #eventsTopic: string
  #claimed = false
  #dropped = false
  readonly #pending = new PendingEffects()
  readonly #snapshots: SnapshotKeeper<S>
  #parkings: Parkings
  #tainted = false
  /**
   * Records without an envelope that may not have been reported. A claimer reports what it read before its claim, and may
   * die before it reports what came between; so those since the claim before the last are reported, some of them twice.
   */
  #garbage: { record: StoredRecord; claims: number }[] = []
  #sinceSnapshot = 0
  #snapshotting = false

  constructor(deps: PartitionOwnerDeps<S>, options: OwnerOptions<S>) {
    this.deps = deps
    this.options = options
    this.partition = deps.partition
    this.fold = deps.createFold()
    this.state = options.machine.empty()
    this.#parkings = new Parkings(options.machine.version)
    this.#eventsTopic = eventsTopic(deps.context.topicPrefix, deps.context.definition.name)
    this.#snapshots = new SnapshotKeeper({ topic: this.#eventsTopic, partition: this.partition }, options, deps)
  }

  get live(): boolean {
    return this.#claimed && !this.#dropped && !this.#tainted
  }

  /**
   * Makes this process the owner.
   * @throws OmiumError `log_fenced` when the partition is lost meanwhile; anything retryable the log or the codec throws
   */
  async acquire(): Promise<void> {
    await this.#restoreSnapshot()
    await this.readToEnd()
    if (this.#parkings.snapshotOutdated) {
      this.#startOver()
      await this.readToEnd()
    }
    await Promise.all(this.#reportGarbage())
    if (this.#dropped) throw this.#lostError()
    this.epoch = this.nextEpoch()
    this.deps.writer.attach(this)
    await this.claim()
    if (this.#dropped || this.#parkings.snapshotOutdated) throw this.#lostError()
    this.#claimed = true
    this.deps.counters.add('claims')
    this.#reportGarbage()
    for (const [aggregate, why] of this.#parkings.unrecorded) void this.#recordParking(aggregate, why)
    await this.#liftParkings()
  }

  protected nextEpoch(): number {
    return this.fold.epoch + 1
  }

  protected async claim(): Promise<void> {
    const { partition, epoch } = this
    const { owner, endpoint } = this.options
    await this.deps.writer.append(this, [prepareClaim(this.deps.context, { partition, epoch, owner, endpoint })])
  }

  /** Forgets the partition; what was appended and not accepted is rejected `log_fenced`. */
  drop(): void {
    this.#dropped = true
    this.deps.writer.detach(this)
  }

  onLost(error: OmiumError): void {
    if (this.#dropped) return
    this.#dropped = true
    this.deps.onLost(this, error)
  }

  async #restoreSnapshot(): Promise<void> {
    const endOffset = () => endOf(this.deps.context.transport, this.#eventsTopic, this.partition)
    const found = await this.#snapshots.newest(endOffset, () => this.deps.createFold())
    if (found === undefined) return
    this.state = found.state
    this.fold = found.fold
    this.#parkings = new Parkings(this.options.machine.version, this.fold.parkedAggregates)
  }

  #startOver(): void {
    this.fold = this.deps.createFold()
    this.state = this.options.machine.empty()
    this.#parkings = new Parkings(this.options.machine.version)
    this.#garbage = []
  }

  protected async readToEnd(): Promise<void> {
    const { codec, transport } = this.deps.context
    const toOffset = await endOf(transport, this.#eventsTopic, this.partition)
    const range = { topic: this.#eventsTopic, partition: this.partition, fromOffset: this.fold.nextOffset, toOffset }
    await readThrough(transport, range, async (batch) => {
      await codec.learn(batch.records)
      if (this.#dropped) throw this.#lostError()
      for (const record of batch.records) {
        if (record.offset >= this.fold.nextOffset) this.foldForeign(record, codec.eventEnvelope(record))
      }
    })
  }

  foldForeign(record: StoredRecord, envelope: EventEnvelope | undefined): Verdict {
    const outcome = envelope && this.#outcomeIn(record, envelope)
    const verdict = this.fold.offer(record.offset, envelope, outcome)
    if (verdict === 'accepted' && envelope !== undefined) {
      this.#sinceSnapshot++
      if (envelope.type === 'PartitionClaimed') {
        this.#garbage = this.#garbage.filter((garbage) => ++garbage.claims < 2)
      }
      this.applyRecord(record, envelope)
      return verdict
    }
    this.deps.counters.add(`rejected.${verdict}`)
    if (envelope !== undefined) return verdict
    if (this.#claimed) void this.#deadLetter(record, 'record_undecodable', garbageDetail)
    else this.#garbage.push({ record, claims: 0 })
    return verdict
  }

  /** What a record that decides a command without an event says about it. */
  #outcomeIn(record: StoredRecord, envelope: EventEnvelope): CommandOutcome | undefined {
    if (envelope.type !== 'CommandRejected' && envelope.type !== 'CommandDeduplicated') return undefined
    try {
      const { type, schemaVersion } = envelope
      return outcomeIn(type, this.deps.context.codec.decode('event', type, schemaVersion, record))
    } catch {
      return undefined
    }
  }

  protected applyRecord(record: StoredRecord, envelope: EventEnvelope): void {
    const { aggregate, type, tenant, version, schemaVersion } = envelope
    const { offset } = record
    if (type === 'AggregateParked') this.#parkings.parked(aggregate, tenant, this.#parkedBy(record, envelope))
    else if (type === 'AggregateUnparked') this.#parkings.unparked(aggregate, tenant, offset)
    if (version === 0 || this.#parkings.isUnfit(aggregate)) return
    let code: ErrorCode = 'record_undecodable'
    try {
      const data = this.deps.context.codec.decode('event', type, schemaVersion, record)
      code = 'record_unfoldable'
      this.options.machine.apply(this.state, { envelope, type, data, partition: this.partition, offset: -1 })
    } catch (error) {
      const detail = `${type} of ${aggregate} at offset ${offset}: ${messageOf(error)}`
      this.#parkings.failed(aggregate, { offset, tenant, code, detail, record })
    }
  }

  /** Version of the machine that parked; this one's own when it cannot be read, so that the parking stays. */
  #parkedBy(record: StoredRecord, { type, schemaVersion }: EventEnvelope): number | undefined {
    try {
      const data = this.deps.context.codec.decode('event', type, schemaVersion, record)
      return (data as { machineVersion?: number }).machineVersion
    } catch {
      return this.options.machine.version
    }
  }

  versionOf(aggregate: string): number {
    return this.#pending.versionOf(aggregate) ?? this.fold.versionOf(aggregate)
  }

  isParked(aggregate: string): boolean {
    return this.#parkings.isUnfit(aggregate) || this.fold.isParked(aggregate)
  }

  /** What became of a command, counting what is appended and not accepted yet; undefined when it was never decided. */
  outcomeOf(commandId: string): CommandOutcome | undefined {
    const pending = this.#pending.outcomeOf(commandId)
    if (pending !== undefined) return pending
    const folded = this.fold.outcomeOf(commandId)
    if (folded !== null) return folded
    return {
      status: 'rejected',
      code: 'internal',
      detail: 'the command was decided; its outcome is no longer readable',
    }
  }

  isDecided(commandId: string): boolean {
    return this.#pending.outcomeOf(commandId) !== undefined || this.fold.isDecided(commandId)
  }

  get partitionCount(): number {
    return this.deps.partitionCount
  }

  append(drafts: readonly EventDraft[]): Promise<Appended> {
    if (!this.live) return rejected(this.#lostError())
    let records: PreparedRecord[]
    try {
      records = prepareEvents(this.deps.context, this, drafts)
    } catch (error) {
      return rejected(error)
    }
    for (const [i, { envelope }] of records.entries()) {
      if (envelope.version === 0) continue
      const event = { envelope, type: envelope.type, data: drafts[i]?.data, partition: this.partition, offset: -1 }
      try {
        this.options.machine.apply(this.state, event)
      } catch (error) {
        return rejected(this.#unfoldable(envelope, error))
      }
    }
    return this.#write(records)
  }

  reject(command: Command, code: ErrorCode, detail: string): Promise<Appended> {
    if (this.outcomeOf(command.envelope.id) !== undefined) return this.deduplicate(command)
    const data = { commandType: command.type, code, detail: detail.slice(0, maxDetailChars) }
    return this.append([{ ...answerTo(command), type: 'CommandRejected', data }])
  }

  /** Answers a command that was decided before with its recorded outcome. */
  deduplicate(command: Command): Promise<Appended> {
    const decided = this.outcomeOf(command.envelope.id)
    const outcome =
      decided === undefined || decided.status === 'accepted'
        ? 'accepted'
        : { code: decided.code, detail: decided.detail }
    const data = { commandType: command.type, outcome }
    return this.append([{ ...answerTo(command), type: 'CommandDeduplicated', data }])
  }

  /** Resolves when everything appended so far is accepted, or the partition is lost. */
  settled(): Promise<void> {
    return this.deps.writer.drained(this)
  }

  async send(draft: CommandDraft): Promise<void> {
    const { context, commands, partitionCount } = this.deps
    const raw = commandRecord(context, draft)
    const topic = commandsTopic(context.topicPrefix, context.definition.name)
    for (;;) {
      if (!this.live) throw this.#lostError()
      try {
        await commands.send(topic, partitionFor(draft.aggregate, partitionCount), raw)
        return
      } catch (error) {
        if (error instanceof OmiumError && !error.retryable) throw error
        const fields = { partition: this.partition, type: draft.type, error: messageOf(error) }
        this.options.onNotice({ level: 'warn', message: 'a command cannot be sent; trying again', fields })
      }
    }
  }

  #write(records: readonly PreparedRecord[]): Promise<Appended> {
    this.#pending.add(records, (commandId) => this.isDecided(commandId))
    const appended = this.deps.writer.append(this, records, () => this.#accepted(records))
    // an owner may append without waiting; the loss of the partition is told by `lost`
    appended.catch(() => undefined)
    return appended
  }

  #accepted(records: readonly PreparedRecord[]): void {
    this.#pending.remove(records)
    this.#sinceSnapshot += records.length
    if (this.#sinceSnapshot >= this.options.snapshotEvery) void this.snapshot()
  }

  /** Stores a snapshot of all that was appended so far, as soon as it is accepted. Failures are notices. */
  snapshot(): Promise<void> {
    if (this.#snapshotting || !this.live || this.#sinceSnapshot === 0 || this.#parkings.unrecorded.size > 0)
      return Promise.resolve()
    this.#snapshotting = true
    this.#sinceSnapshot = 0
    const state = this.#encodeState()
    if (state === undefined) return Promise.resolve()
    return new Promise((resolve) => {
      this.deps.writer.whenAccepted(this, () => {
        void this.#snapshots.store(state, this.checkpointForSnapshot()).then(() => {
          this.#snapshotting = false
          resolve()
        })
      })
    })
  }

  #encodeState(): string | undefined {
    try {
      return JSON.stringify(this.options.machine.encode(this.state))
    } catch (error) {
      this.#snapshotting = false
      const fields = { partition: this.partition, error: messageOf(error) }
      this.options.onNotice({ level: 'error', message: 'the state cannot be encoded for a snapshot', fields })
      return undefined
    }
  }

  protected checkpointForSnapshot() {
    return this.fold.checkpoint()
  }

  /** Parks the aggregate and gives the partition up: parts of the append may be in the state and will never be on the log. */
  #unfoldable({ type, aggregate, tenant }: EventEnvelope, cause: unknown): OmiumError {
    const detail = `${type} of ${aggregate} was decided and cannot be applied: ${messageOf(cause)}`
    const error = new OmiumError('record_unfoldable', detail, { cause })
    const why = { offset: this.fold.nextOffset, tenant, code: 'record_unfoldable' as const, detail }
    const parking = this.#recordParking(aggregate, why)
    this.#tainted = true
    void parking.then(() => this.onLost(error))
    return error
  }

  /** Resolves when every reader holds the aggregates for unparked. */
  async #liftParkings(): Promise<void> {
    const data = { machineVersion: this.options.machine.version }
    const drafts = this.#parkings.takeLiftable().map(([aggregate, tenant]): EventDraft => {
      const fields = { partition: this.partition, aggregate, ...data }
      this.options.onNotice({ level: 'info', message: 'an aggregate is unparked', fields })
      return {
        type: 'AggregateUnparked',
        data,
        aggregate,
        tenant,
        actor: 'system',
        correlationId: `parked-${aggregate}`,
      }
    })
    if (drafts.length === 0) return
    this.deps.counters.add('unparked', drafts.length)
    await this.append(drafts)
  }

  /** Tells every reader that the aggregate stands still; resolves when they know, or the partition is lost. */
  async #recordParking(aggregate: string, why: Parking): Promise<void> {
    const { offset, tenant, code, detail } = why
    this.deps.counters.add('parked')
    const fields = { partition: this.partition, aggregate, code, detail }
    this.options.onNotice({ level: 'error', message: 'an aggregate is parked', fields })
    const draft: EventDraft = {
      type: 'AggregateParked',
      data: { offset, code, detail: detail.slice(0, maxDetailChars), machineVersion: this.options.machine.version },
      aggregate,
      tenant,
      actor: 'system',
      correlationId: `parked-${aggregate}`,
    }
    if (why.record) void this.#deadLetter(why.record, code, detail)
    try {
      await this.append([draft])
      this.#parkings.unrecorded.delete(aggregate)
    } catch (error) {
      const failure = { partition: this.partition, aggregate, error: messageOf(error) }
      this.options.onNotice({ level: 'warn', message: 'a parking was not recorded', fields: failure })
    }
  }

  #reportGarbage(): Promise<void>[] {
    return this.#garbage.splice(0).map(({ record }) => this.#deadLetter(record, 'record_undecodable', garbageDetail))
  }

  /** Resolves when the letter is written, or the partition is lost. */
  async #deadLetter(record: StoredRecord, code: ErrorCode, detail: string): Promise<void> {
    const { offset } = record
    this.deps.counters.add('deadLetters')
    const fields = { partition: this.partition, offset, code, detail }
    this.options.onNotice({ level: 'error', message: 'an event is a dead letter', fields })
    while (!this.#dropped) {
      try {
        await this.deps.deadLetters.write({ source: record, code, detail, reportedBy: this.options.owner })
        return
      } catch (error) {
        const failure = { partition: this.partition, offset, error: messageOf(error) }
        this.options.onNotice({ level: 'warn', message: 'a dead letter cannot be written yet', fields: failure })
      }
    }
  }

  #lostError(): OmiumError {
    return new OmiumError(
      'log_fenced',
      `partition ${this.partition} (epoch ${this.epoch}) is not owned by this process`,
    )
  }
}

/** A rejected promise that nobody needs to handle. */
const rejected = (error: unknown): Promise<never> => {
  const promise = Promise.reject(error)
  promise.catch(() => undefined)
  return promise
}

/** What the answer to a command has of it. */
const answerTo = ({ envelope }: Command) => {
  const { aggregate, tenant, actor, correlationId, traceparent, id } = envelope
  return { aggregate, tenant, actor, correlationId, commandId: id, ...(traceparent !== undefined && { traceparent }) }
}
