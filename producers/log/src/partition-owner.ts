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
 *    every reader refuse what might still come for it. The rest of the partition goes on.
 */
import {
  aggregateKey,
  commandsTopic,
  type ErrorCode,
  type EventEnvelope,
  eventsTopic,
  OmiumError,
} from '@omium/schemas'
import { type AcceptanceFold, isLogRecord, type Verdict } from './acceptance.ts'
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
import type { GroupCommit } from './group-commit.ts'
import { type Counters, messageOf } from './notices.ts'
import { partitionFor } from './partitioning.ts'
import { endOf, readThrough } from './reading.ts'
import { type Compression, decodeSnapshot, encodeSnapshot } from './snapshots.ts'
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

/** Why an aggregate stands still. */
interface Parking {
  readonly offset: number
  readonly tenant: string
  readonly code: ErrorCode
  readonly detail: string
  /** the record that could not be applied, when it is one that was read */
  readonly record?: StoredRecord
}

const keptSnapshots = 3
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
  /** versions and outcomes of what was appended and is not accepted yet */
  readonly #pendingVersions = new Map<string, number>()
  readonly #pendingCounts = new Map<string, number>()
  readonly #pendingOutcomes = new Map<string, CommandOutcome>()
  /** aggregates that stand still here, with the reason; on the log too once that record is accepted */
  readonly #parked = new Map<string, Parking>()
  /** records without an envelope since the last claim, to be reported before ours */
  readonly #garbage: StoredRecord[] = []
  #sinceSnapshot = 0
  #snapshotting = false

  constructor(deps: PartitionOwnerDeps<S>, options: OwnerOptions<S>) {
    this.deps = deps
    this.options = options
    this.partition = deps.partition
    this.fold = deps.createFold()
    this.state = options.machine.empty()
    this.#eventsTopic = eventsTopic(deps.context.topicPrefix, deps.context.definition.name)
  }

  get live(): boolean {
    return this.#claimed && !this.#dropped
  }

  get dropped(): boolean {
    return this.#dropped
  }

  /**
   * Makes this process the owner.
   * @throws OmiumError `log_fenced` when the partition is lost meanwhile; anything retryable the log or the codec throws
   */
  async acquire(): Promise<void> {
    await this.restoreSnapshot()
    await this.readToEnd()
    for (const record of this.#garbage.splice(0)) await this.#deadLetter(record, 'record_undecodable', garbageDetail)
    if (this.#dropped) throw this.#lostError()
    this.epoch = this.nextEpoch()
    this.deps.writer.attach(this)
    await this.claim()
    if (this.#dropped) throw this.#lostError()
    this.#claimed = true
    this.deps.counters.add('claims')
    for (const [aggregate, why] of this.#parked) this.#recordParking(aggregate, why)
  }

  protected nextEpoch(): number {
    return this.fold.epoch + 1
  }

  protected async claim(): Promise<void> {
    await this.deps.writer.append(this, [this.#claimRecord()])
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

  protected async restoreSnapshot(): Promise<void> {
    const { machine, snapshots, onNotice } = this.options
    const { transport } = this.deps.context
    const found = await snapshots.list(this.#eventsTopic, this.partition).catch((error) => {
      const fields = { partition: this.partition, error: messageOf(error) }
      onNotice({ level: 'warn', message: 'snapshots cannot be listed; the whole log is read', fields })
      return []
    })
    if (found.length === 0) return
    const end = await endOf(transport, this.#eventsTopic, this.partition)
    for (const { key, nextOffset } of found) {
      try {
        if (nextOffset > end) throw new OmiumError('snapshot_corrupt', `it is of ${nextOffset}, the log ends at ${end}`)
        const content = await decodeSnapshot(await snapshots.load(key), this.deps.compression)
        if (content.machineVersion !== machine.version) continue
        const fold = this.deps.createFold().restore(content.acceptance)
        this.state = machine.decode(JSON.parse(content.state))
        this.fold = fold
        return
      } catch (error) {
        const fields = { partition: this.partition, key, error: messageOf(error) }
        onNotice({ level: 'warn', message: 'a snapshot is not usable; an older one or the whole log is read', fields })
      }
    }
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
      // the claimer before us has read and reported what lies before its claim
      if (envelope.type === 'PartitionClaimed') this.#garbage.length = 0
      this.applyRecord(record, envelope)
      return verdict
    }
    this.deps.counters.add(`rejected.${verdict}`)
    if (envelope !== undefined) return verdict
    if (this.#claimed) void this.#deadLetter(record, 'record_undecodable', garbageDetail)
    else this.#garbage.push(record)
    return verdict
  }

  /** What a record that decides a command without an event says about it. */
  #outcomeIn(record: StoredRecord, envelope: EventEnvelope): CommandOutcome | undefined {
    if (envelope.type !== 'CommandRejected' && envelope.type !== 'CommandDeduplicated') return undefined
    try {
      const { type, schemaVersion } = envelope
      return outcomeOf(type, this.deps.context.codec.decode('event', type, schemaVersion, record))
    } catch {
      return undefined
    }
  }

  protected applyRecord(record: StoredRecord, envelope: EventEnvelope): void {
    const { aggregate, type, version, schemaVersion } = envelope
    if (version === 0) {
      if (type === 'AggregateParked') this.#parked.delete(aggregate)
      return
    }
    if (this.#parked.has(aggregate) || this.fold.isParked(aggregate)) return
    let code: ErrorCode = 'record_undecodable'
    try {
      const data = this.deps.context.codec.decode('event', type, schemaVersion, record)
      code = 'record_unfoldable'
      this.options.machine.apply(this.state, { envelope, type, data, partition: this.partition, offset: -1 })
    } catch (error) {
      const detail = `${type} of ${aggregate} at offset ${record.offset}: ${messageOf(error)}`
      this.#parked.set(aggregate, { offset: record.offset, tenant: envelope.tenant, code, detail, record })
    }
  }

  versionOf(aggregate: string): number {
    return this.#pendingVersions.get(aggregate) ?? this.fold.versionOf(aggregate)
  }

  isParked(aggregate: string): boolean {
    return this.#parked.has(aggregate) || this.fold.isParked(aggregate)
  }

  /** What became of a command, counting what is appended and not accepted yet; undefined when it was never decided. */
  outcomeOf(commandId: string): CommandOutcome | undefined {
    const pending = this.#pendingOutcomes.get(commandId)
    if (pending !== undefined) return pending
    const folded = this.fold.outcomeOf(commandId)
    if (folded !== null) return folded
    return {
      status: 'rejected',
      code: 'internal',
      detail: 'the command was decided; its outcome is no longer readable',
    }
  }

  append(drafts: readonly EventDraft[]): Promise<Appended> {
    if (!this.live) return rejected(this.#lostError())
    let records: PreparedRecord[]
    try {
      records = this.#prepare(drafts)
    } catch (error) {
      return rejected(error)
    }
    try {
      this.#applyDrafts(drafts, records)
    } catch (error) {
      const detail = `an event that was just decided cannot be applied: ${messageOf(error)}`
      for (const draft of drafts) {
        if (isLogRecord(draft.type) || this.isParked(draft.aggregate)) continue
        const why = { offset: this.fold.nextOffset, tenant: draft.tenant, code: 'record_unfoldable' as const, detail }
        this.#parked.set(draft.aggregate, why)
        this.#recordParking(draft.aggregate, why)
      }
      return rejected(new OmiumError('record_unfoldable', detail, { cause: error }))
    }
    return this.#write(records)
  }

  reject(command: Command, code: ErrorCode, detail: string): Promise<Appended> {
    if (this.outcomeOf(command.envelope.id) !== undefined) return this.deduplicate(command)
    return this.append([
      { ...this.#answerTo(command), type: 'CommandRejected', data: this.#rejection(command, code, detail) },
    ])
  }

  /** Answers a command that was decided before with its recorded outcome. */
  deduplicate(command: Command): Promise<Appended> {
    const decided = this.outcomeOf(command.envelope.id)
    const outcome =
      decided === undefined || decided.status === 'accepted'
        ? 'accepted'
        : { code: decided.code, detail: decided.detail }
    const data = { commandType: command.type, outcome }
    return this.append([{ ...this.#answerTo(command), type: 'CommandDeduplicated', data }])
  }

  #rejection(command: Command, code: ErrorCode, detail: string) {
    return { commandType: command.type, code, detail }
  }

  #answerTo({ envelope }: Command) {
    const { aggregate, tenant, actor, correlationId, traceparent, id } = envelope
    return { aggregate, tenant, actor, correlationId, commandId: id, ...(traceparent !== undefined && { traceparent }) }
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
        const fields = { partition: this.partition, type: draft.type, error: messageOf(error) }
        this.options.onNotice({ level: 'warn', message: 'a command cannot be sent; trying again', fields })
      }
    }
  }

  /** Envelopes and encodings of drafts, without effect on anything. */
  #prepare(drafts: readonly EventDraft[]): PreparedRecord[] {
    const { codec, definition, ids, nowMs } = this.deps.context
    if (drafts.length === 0) throw new OmiumError('internal', 'an append needs at least one event')
    const versions = new Map<string, number>()
    return drafts.map((draft) => {
      const { type, aggregate, commandId, traceparent } = draft
      const schemaVersion = definition.events[type]?.version
      if (schemaVersion === undefined) {
        throw new OmiumError('internal', `the context ${definition.name} has no event ${type}`)
      }
      const versionless = isLogRecord(type)
      if (!versionless && this.isParked(aggregate)) throw new OmiumError('execution_parked', `${aggregate} is parked`)
      const version = versionless ? 0 : (versions.get(aggregate) ?? this.versionOf(aggregate)) + 1
      if (!versionless) versions.set(aggregate, version)
      const envelope: EventEnvelope = {
        id: ids('event'),
        type,
        schemaVersion,
        tenant: draft.tenant,
        aggregate,
        correlationId: draft.correlationId,
        actor: draft.actor,
        time: nowMs(),
        version,
        epoch: this.epoch,
        ...(traceparent !== undefined && { traceparent }),
        ...(commandId !== undefined && { commandId }),
        ...(draft.closes === true && { closes: true }),
      }
      if (!isSound(envelope)) throw new OmiumError('internal', `the envelope of ${type} lacks an identity or a time`)
      const outcome = outcomeOf(type, draft.data)
      return { envelope, raw: codec.encodeEvent(envelope, draft.data), ...(outcome && { outcome }) }
    })
  }

  #applyDrafts(drafts: readonly EventDraft[], records: readonly PreparedRecord[]): void {
    for (const [i, { envelope }] of records.entries()) {
      if (envelope.version === 0) continue
      const event = { envelope, type: envelope.type, data: drafts[i]?.data, partition: this.partition, offset: -1 }
      this.options.machine.apply(this.state, event)
    }
  }

  #write(records: readonly PreparedRecord[]): Promise<Appended> {
    for (const { envelope, outcome } of records) {
      const { aggregate, version, commandId } = envelope
      if (version > 0) {
        this.#pendingVersions.set(aggregate, version)
        this.#pendingCounts.set(aggregate, (this.#pendingCounts.get(aggregate) ?? 0) + 1)
      }
      if (commandId !== undefined && this.outcomeOf(commandId) === undefined) {
        this.#pendingOutcomes.set(commandId, outcome ?? { status: 'accepted' })
      }
    }
    const appended = this.deps.writer.append(this, records, () => this.#accepted(records))
    // an owner may append without waiting; the loss of the partition is told by `lost`
    appended.catch(() => undefined)
    return appended
  }

  #accepted(records: readonly PreparedRecord[]): void {
    for (const { envelope } of records) {
      const { aggregate, version, commandId } = envelope
      if (commandId !== undefined) this.#pendingOutcomes.delete(commandId)
      if (version === 0) continue
      const count = (this.#pendingCounts.get(aggregate) ?? 1) - 1
      if (count > 0) this.#pendingCounts.set(aggregate, count)
      else {
        this.#pendingCounts.delete(aggregate)
        this.#pendingVersions.delete(aggregate)
      }
    }
    this.#sinceSnapshot += records.length
    if (this.#sinceSnapshot >= this.options.snapshotEvery) void this.snapshot()
  }

  /** Stores a snapshot of all that was appended so far, as soon as it is accepted. Failures are notices. */
  snapshot(): Promise<void> {
    if (this.#snapshotting || !this.live || this.#sinceSnapshot === 0 || this.#parked.size > 0) return Promise.resolve()
    this.#snapshotting = true
    this.#sinceSnapshot = 0
    return new Promise((resolve) => {
      let state: string
      try {
        state = JSON.stringify(this.options.machine.encode(this.state))
      } catch (error) {
        this.#snapshotFailed(error)
        resolve()
        return
      }
      this.deps.writer.whenAccepted(this, () => {
        const acceptance = this.checkpointForSnapshot()
        void this.#save(state, acceptance).then(resolve)
      })
    })
  }

  protected checkpointForSnapshot() {
    return this.fold.checkpoint()
  }

  async #save(state: string, acceptance: ReturnType<AcceptanceFold['checkpoint']>): Promise<void> {
    const { machine, snapshots } = this.options
    try {
      const content = { machineVersion: machine.version, acceptance, state }
      const body = await encodeSnapshot(content, this.deps.compression)
      await snapshots.save(this.#eventsTopic, this.partition, acceptance.nextOffset, body)
      const stored = await snapshots.list(this.#eventsTopic, this.partition)
      for (const { key } of stored.slice(keptSnapshots)) await snapshots.remove(key)
      this.#snapshotting = false
      this.deps.counters.add('snapshots')
    } catch (error) {
      this.#snapshotFailed(error)
    }
  }

  #snapshotFailed(error: unknown): void {
    this.#snapshotting = false
    const fields = { partition: this.partition, error: messageOf(error) }
    this.options.onNotice({ level: 'warn', message: 'a snapshot could not be taken', fields })
  }

  #claimRecord(): PreparedRecord {
    const { codec, definition, ids, nowMs } = this.deps.context
    const { owner, endpoint } = this.options
    const envelope: EventEnvelope = {
      id: ids('event'),
      type: 'PartitionClaimed',
      schemaVersion: definition.events['PartitionClaimed']?.version ?? 1,
      tenant: 'system',
      aggregate: aggregateKey('partition', 'system', String(this.partition)),
      correlationId: `claim-${this.partition}-${this.epoch}`,
      actor: 'system',
      time: nowMs(),
      version: 0,
      epoch: this.epoch,
    }
    return { envelope, raw: codec.encodeEvent(envelope, { owner, ...(endpoint !== undefined && { endpoint }) }) }
  }

  /** Tells every reader that the aggregate stands still. */
  #recordParking(aggregate: string, why: Parking): void {
    const { offset, tenant, code, detail } = why
    this.deps.counters.add('parked')
    const fields = { partition: this.partition, aggregate, code, detail }
    this.options.onNotice({ level: 'error', message: 'an aggregate is parked', fields })
    const draft: EventDraft = {
      type: 'AggregateParked',
      data: { offset, code, detail: detail.slice(0, 8192) },
      aggregate,
      tenant,
      actor: 'system',
      correlationId: `parked-${aggregate}`,
    }
    if (why.record) void this.#deadLetter(why.record, code, detail)
    this.append([draft]).then(
      () => this.#parked.delete(aggregate),
      () => undefined,
    )
  }

  async #deadLetter(record: StoredRecord, code: ErrorCode, detail: string): Promise<void> {
    this.deps.counters.add('deadLetters')
    const letter = { source: record, code, detail, reportedBy: this.options.owner }
    this.options.onNotice({
      level: 'error',
      message: 'an event is a dead letter',
      fields: { partition: this.partition, offset: record.offset, code, detail },
    })
    await this.deps.deadLetters.write(letter).catch((error) => {
      const fields = { partition: this.partition, offset: record.offset, error: messageOf(error) }
      this.options.onNotice({ level: 'error', message: 'a dead letter could not be written', fields })
    })
  }

  #lostError(): OmiumError {
    return new OmiumError(
      'log_fenced',
      `partition ${this.partition} (epoch ${this.epoch}) is not owned by this process`,
    )
  }
}

/** An owner accepts its own envelopes unread; so they must be such that every reader can read them. */
const isSound = ({ tenant, aggregate, actor, correlationId, time }: EventEnvelope): boolean =>
  tenant !== '' && aggregate !== '' && actor !== '' && correlationId !== '' && Number.isSafeInteger(time) && time >= 0

/** A rejected promise that nobody needs to handle. */
const rejected = (error: unknown): Promise<never> => {
  const promise = Promise.reject(error)
  promise.catch(() => undefined)
  return promise
}

/** The outcome that a `CommandRejected` or `CommandDeduplicated` records. */
const outcomeOf = (type: string, data: unknown): CommandOutcome | undefined => {
  if (type === 'CommandRejected') {
    const { code, detail } = data as { code: ErrorCode; detail: string }
    return { status: 'rejected', code, detail }
  }
  if (type !== 'CommandDeduplicated') return undefined
  const { outcome } = data as { outcome: 'accepted' | { code: ErrorCode; detail: string } }
  return outcome === 'accepted' ? { status: 'accepted' } : { status: 'rejected', ...outcome }
}
