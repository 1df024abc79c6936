/**
 * What must be true of a simulated run. The reference fold below is written apart from the product's on purpose: the
 * naive reading of the rule, without windows, checkpoints or optimism.
 *
 * 1. Everything acknowledged is in the fold exactly once, at the offset that was told.
 * 2. Every reader's accepted records are the reference's.
 * 3. A command has one effect, its acknowledged outcome is the folded one, and every command is decided in the end.
 * 4. No offset is committed before all commands below it are decided, and all garbage below it is a dead letter.
 * 5. The state of an owner is the fold of the log, when it takes over and at the end.
 */
import type { EventEnvelope } from '@omium/schemas'
import type { RecordCodec } from '../contract.ts'
import type { StoredRecord } from '../transport.ts'
import { type Accounts, accountsMachine } from './accounts.ts'

interface AcceptedRecord {
  readonly offset: number
  readonly envelope: EventEnvelope
  readonly data: Record<string, unknown>
}

/** The acceptance rule once more, incrementally over a growing partition. */
export class Reference {
  readonly accepted: AcceptedRecord[] = []
  readonly decided = new Map<string, AcceptedRecord>()
  readonly #codec: RecordCodec
  readonly #partition: number
  readonly #versions = new Map<string, number>()
  readonly #parked = new Map<string, number>()
  #epoch = 0
  #next = 0

  constructor(codec: RecordCodec, partition: number) {
    this.#codec = codec
    this.#partition = partition
  }

  get epoch(): number {
    return this.#epoch
  }

  advance(records: readonly StoredRecord[]): this {
    for (; this.#next < records.length; this.#next++) {
      const record = records[this.#next] as StoredRecord
      const envelope = this.#codec.eventEnvelope(record)
      if (envelope === undefined || !this.#accepts(envelope)) continue
      const data = JSON.parse(String(record.value)) as Record<string, unknown>
      const accepted = { offset: record.offset, envelope, data }
      this.accepted.push(accepted)
      if (envelope.commandId !== undefined && !this.decided.has(envelope.commandId)) {
        this.decided.set(envelope.commandId, accepted)
      }
    }
    return this
  }

  #accepts({ type, epoch, version, aggregate, commandId }: EventEnvelope): boolean {
    if (type === 'PartitionClaimed') {
      if (epoch !== this.#epoch + 1) return false
      this.#epoch = epoch
      return true
    }
    if (epoch !== this.#epoch) return false
    if (type === 'CommandRejected') return commandId !== undefined && !this.decided.has(commandId)
    if (type === 'CommandDeduplicated') return true
    if (type === 'AggregateParked' && !this.#parked.has(aggregate)) {
      this.#parked.set(aggregate, epoch)
      return true
    }
    const parkedIn = this.#parked.get(aggregate)
    if (type === 'AggregateUnparked')
      return parkedIn !== undefined && parkedIn < epoch && this.#parked.delete(aggregate)
    if (parkedIn !== undefined) return false
    if (version !== (this.#versions.get(aggregate) ?? 0) + 1) return false
    this.#versions.set(aggregate, version)
    return true
  }

  /** The machine's state after the accepted records below `nextOffset`, as text. */
  stateAt(nextOffset: number): string {
    const state = accountsMachine.empty()
    for (const { offset, envelope, data } of this.accepted) {
      if (offset >= nextOffset) break
      if (envelope.version === 0) continue
      accountsMachine.apply(state, { envelope, type: envelope.type, data, partition: this.#partition, offset })
    }
    return textOf(state)
  }
}

export const textOf = (state: Accounts): string => JSON.stringify(accountsMachine.encode(state))

interface Acknowledged {
  readonly partition: number
  readonly offset: number | undefined
  readonly envelope: EventEnvelope
}

const money = new Set(['Deposited', 'Withdrawn', 'TransferStarted', 'AccountClosed'])

export class Checker {
  readonly problems: string[] = []
  readonly acknowledged: Acknowledged[] = []
  /** accepted records as a reader saw them: partition -> `offset:id` */
  readonly readers: { readonly name: string; readonly from: readonly number[]; readonly seen: string[][] }[] = []
  readonly references: readonly Reference[]
  readonly #eventsOf: (partition: number) => readonly StoredRecord[]
  readonly #commandsOf: (partition: number) => readonly StoredRecord[]
  readonly #deadLetters: () => readonly StoredRecord[]
  readonly #codec: RecordCodec

  constructor(
    codec: RecordCodec,
    partitions: number,
    eventsOf: (partition: number) => readonly StoredRecord[],
    commandsOf: (partition: number) => readonly StoredRecord[],
    deadLetters: () => readonly StoredRecord[],
  ) {
    this.#deadLetters = deadLetters
    this.#codec = codec
    this.#eventsOf = eventsOf
    this.#commandsOf = commandsOf
    this.references = Array.from({ length: partitions }, (_, p) => new Reference(codec, p))
  }

  reference(partition: number): Reference {
    return (this.references[partition] as Reference).advance(this.#eventsOf(partition))
  }

  problem(text: string): void {
    if (this.problems.length < 8) this.problems.push(text.slice(0, 400))
  }

  /** At every commit, in the moment in which the log takes it. */
  committed(partition: number, nextOffset: number): void {
    const { decided } = this.reference(partition)
    for (const record of this.#commandsOf(partition).slice(0, nextOffset)) {
      const id = this.#codec.commandEnvelope(record)?.id
      if (id === undefined && !this.#isDeadLetter(record)) {
        this.problem(`offset ${nextOffset} of ${partition} was committed, but ${record.offset} is no dead letter`)
        return
      }
      if (id !== undefined && !decided.has(id)) {
        this.problem(
          `offset ${nextOffset} of ${partition} was committed although ${id} at ${record.offset} is undecided`,
        )
        return
      }
    }
  }

  #isDeadLetter({ topic, partition, offset }: StoredRecord): boolean {
    return this.#deadLetters().some(
      ({ headers }) =>
        headers['dead-letter-topic'] === topic &&
        headers['dead-letter-partition'] === String(partition) &&
        headers['dead-letter-offset'] === String(offset),
    )
  }

  /** Garbage among the events was reported by an owner that has read past it. */
  #reportedGarbage(partition: number, reference: Reference): void {
    const last = reference.accepted.at(-1)?.offset ?? 0
    for (const record of this.#eventsOf(partition).slice(0, last)) {
      const garbage = this.#codec.eventEnvelope(record) === undefined
      if (garbage && !this.#isDeadLetter(record))
        this.problem(`garbage at ${record.offset} of ${partition} was not reported`)
    }
  }

  owned(partition: number, epoch: number, nextOffset: number, state: Accounts): void {
    const expected = this.reference(partition).stateAt(nextOffset)
    if (textOf(state) !== expected) {
      this.problem(`the owner of ${partition} took over epoch ${epoch} with ${textOf(state)}, not ${expected}`)
    }
  }

  /** At the end, when nothing moves any more. */
  finish(sent: ReadonlySet<string>): void {
    const decided = new Map(this.references.flatMap((_, p) => [...this.reference(p).decided]))
    for (const id of sent) if (!decided.has(id)) this.problem(`command ${id} was never decided`)
    for (const [p, reference] of this.references.entries()) {
      this.#acknowledgedOnce(p, reference)
      this.#oneEffect(reference)
      this.#reportedGarbage(p, reference)
    }
    for (const reader of this.readers) {
      for (const [p, reference] of this.references.entries()) {
        const from = reader.from[p] as number
        const expected = reference.accepted.filter((a) => a.offset >= from).map((a) => `${a.offset}:${a.envelope.id}`)
        const seen = reader.seen[p] as string[]
        if (seen.join() !== expected.join()) {
          this.problem(`${reader.name} saw ${seen.length} records of ${p}, the reference has ${expected.length}`)
        }
      }
    }
  }

  #acknowledgedOnce(partition: number, reference: Reference): void {
    const offsets = new Map<string, number[]>()
    for (const { envelope, offset } of reference.accepted) {
      const known = offsets.get(envelope.id)
      if (known) known.push(offset)
      else offsets.set(envelope.id, [offset])
    }
    for (const { partition: p, offset, envelope } of this.acknowledged) {
      if (p !== partition) continue
      const found = offsets.get(envelope.id) ?? []
      const repeatable = envelope.type === 'CommandDeduplicated'
      if (found.length === 0) this.problem(`acknowledged ${envelope.type} ${envelope.id} is not in the fold of ${p}`)
      else if (found.length > 1 && !repeatable) this.problem(`${envelope.type} ${envelope.id} is in the fold twice`)
      else if (offset !== undefined && found[0] !== offset) {
        this.problem(`${envelope.id} was acknowledged at offset ${offset}, but is at ${found[0]}`)
      }
    }
  }

  #oneEffect(reference: Reference): void {
    const effects = new Map<string, number>()
    for (const { envelope, data } of reference.accepted) {
      const { commandId, type } = envelope
      if (commandId === undefined) continue
      if (money.has(type)) effects.set(commandId, (effects.get(commandId) ?? 0) + 1)
      if (type !== 'CommandDeduplicated') continue
      const first = reference.decided.get(commandId) as AcceptedRecord
      const recorded = first.envelope.version > 0 ? 'accepted' : first.data
      const expected = recorded === 'accepted' ? recorded : { code: recorded['code'], detail: recorded['detail'] }
      if (first.envelope.type !== type && JSON.stringify(data['outcome']) !== JSON.stringify(expected)) {
        this.problem(
          `${commandId} was answered ${JSON.stringify(data['outcome'])}, recorded is ${JSON.stringify(expected)}`,
        )
      }
      if (first.envelope.type === type) this.problem(`${commandId} was answered as decided before it was`)
    }
    for (const [id, count] of effects) if (count > 1) this.problem(`command ${id} had ${count} effects`)
  }
}
