/**
 * The shared acceptance rule: the one pure fold that every reader of an events partition applies, in log order.
 *
 * 1. The verdict on a record depends only on the records before it and on its envelope; never on who reads, when, or on
 *    its payload. So all readers agree, and an owner may act on a verdict before anybody else has read the record.
 * 2. A `PartitionClaimed` is accepted iff its epoch is the current epoch + 1. Every other record is accepted only if its
 *    epoch is the current one: a claim fences all older owners for ever.
 * 3. An aggregate's event is accepted iff its version is the aggregate's version + 1: a request that takes effect twice,
 *    or late, counts once.
 * 4. Version 0 marks the log's own records, which change no aggregate: `CommandRejected` (refused when its command was
 *    decided already), `CommandDeduplicated`, and `AggregateParked`, after which the aggregate's events and further
 *    parkings are refused until `AggregateUnparked`. That one is accepted only in a later epoch than the parking, so that
 *    a late repetition of it cannot lift a parking that came after it.
 * 5. A command is decided by the first accepted record that carries its id.
 * 6. Memory is bounded by live aggregates and two FIFO windows. The windows' sizes are part of the rule: all readers must
 *    use the same ones.
 */
import type { EventEnvelope } from '@omium/schemas'
import { OmiumError } from '@omium/schemas'
import type { AcceptanceCheckpoint, CommandOutcome, RejectionReason } from './contract.ts'
import { KeyWindow } from './key-window.ts'

export interface AcceptanceWindows {
  /** how many closed aggregates keep their version, for each partition */
  readonly closedAggregates: number
  /** how many decided commands are remembered, for each partition */
  readonly decidedCommands: number
}

/** Part of the rule: changing them changes what old logs mean. */
export const acceptanceWindows: AcceptanceWindows = { closedAggregates: 50_000, decidedCommands: 50_000 }

export type Verdict = 'accepted' | RejectionReason

const logRecordTypes = new Set([
  'PartitionClaimed',
  'CommandRejected',
  'CommandDeduplicated',
  'AggregateParked',
  'AggregateUnparked',
])

/** Records of the log itself: version 0, no aggregate's history. */
export const isLogRecord = (type: string): boolean => logRecordTypes.has(type)

const acceptedOutcome: CommandOutcome = { status: 'accepted' }

/** Text form of a checkpoint; the keys are short because there may be a hundred thousand entries. */
interface Encoded {
  readonly format: 2
  readonly windows: readonly [closed: number, decided: number]
  readonly next: number
  readonly epoch: number
  readonly accepted: number
  readonly rejected: number
  /** aggregate, version, aggregate, version, ... */
  readonly live: readonly (string | number)[]
  readonly closed: readonly (string | number)[]
  /** command id, 1 = accepted | 0 = not known to this reader | [code, detail], ... oldest first */
  readonly decided: readonly unknown[]
  /** aggregate, epoch in which it was parked, ... */
  readonly parked: readonly (string | number)[]
}

export class AcceptanceFold {
  /** the offset after the last record offered */
  nextOffset = 0
  /** epoch of the newest accepted claim, 0 before the first */
  epoch = 0
  acceptedCount = 0
  rejectedCount = 0
  readonly #windows: AcceptanceWindows
  readonly #live = new Map<string, number>()
  readonly #closed: KeyWindow<number>
  readonly #decided: KeyWindow<CommandOutcome | null>
  /** with the epoch of the parking */
  readonly #parked = new Map<string, number>()

  constructor(windows: AcceptanceWindows = acceptanceWindows) {
    this.#windows = windows
    this.#closed = new KeyWindow(windows.closedAggregates)
    this.#decided = new KeyWindow(windows.decidedCommands)
  }

  /**
   * Judges the record at `offset` and, when it is accepted, takes it in.
   * @param envelope undefined when the record's headers are no valid envelope
   * @param outcome what a record that decides a command without an event says about it; only known to those who read payloads
   * @throws RangeError when the offset was offered before
   */
  offer(offset: number, envelope: EventEnvelope | undefined, outcome?: CommandOutcome): Verdict {
    if (offset < this.nextOffset)
      throw new RangeError(`offset ${offset} was folded already, next is ${this.nextOffset}`)
    this.nextOffset = offset + 1
    const verdict = envelope === undefined ? 'malformed' : this.judge(envelope)
    if (envelope === undefined || verdict !== 'accepted') {
      this.rejectedCount++
      return verdict
    }
    this.acceptedCount++
    this.#take(envelope, outcome)
    return verdict
  }

  /** The rule itself, without effect. */
  judge(envelope: EventEnvelope): Verdict {
    const { type, version, epoch } = envelope
    if ((version === 0) !== logRecordTypes.has(type)) return 'malformed'
    if (type === 'PartitionClaimed') return epoch === this.epoch + 1 ? 'accepted' : 'claim_out_of_order'
    if (epoch !== this.epoch) return epoch < this.epoch ? 'stale_epoch' : 'future_epoch'
    if (version === 0) {
      if (type === 'AggregateParked') return this.#parked.has(envelope.aggregate) ? 'parked' : 'accepted'
      if (type === 'AggregateUnparked') {
        return (this.#parked.get(envelope.aggregate) ?? epoch) < epoch ? 'accepted' : 'not_parked'
      }
      if (type !== 'CommandRejected') return 'accepted'
      if (envelope.commandId === undefined) return 'malformed'
      return this.isDecided(envelope.commandId) ? 'command_already_decided' : 'accepted'
    }
    if (this.#parked.size > 0 && this.#parked.has(envelope.aggregate)) return 'parked'
    return version === this.versionOf(envelope.aggregate) + 1 ? 'accepted' : 'version_mismatch'
  }

  #take(envelope: EventEnvelope, outcome: CommandOutcome | undefined): void {
    const { type, version, aggregate, commandId } = envelope
    if (type === 'PartitionClaimed') {
      this.epoch = envelope.epoch
      return
    }
    if (version > 0) {
      if (envelope.closes === true) {
        this.#live.delete(aggregate)
        this.#closed.set(aggregate, version)
      } else {
        this.#live.set(aggregate, version)
        if (version > 1) this.#closed.delete(aggregate)
      }
    } else if (type === 'AggregateParked') this.#parked.set(aggregate, this.epoch)
    else if (type === 'AggregateUnparked') this.#parked.delete(aggregate)
    if (commandId !== undefined && !this.#decided.has(commandId)) {
      this.#decided.set(commandId, version > 0 ? acceptedOutcome : (outcome ?? null))
    }
  }

  /** 0 when unknown */
  versionOf(aggregate: string): number {
    return this.#live.get(aggregate) ?? this.#closed.get(aggregate) ?? 0
  }

  isDecided(commandId: string): boolean {
    return this.#decided.has(commandId)
  }

  /** undefined: not decided (within the window); null: decided, by a record whose payload this reader did not look into */
  outcomeOf(commandId: string): CommandOutcome | null | undefined {
    return this.#decided.get(commandId)
  }

  isParked(aggregate: string): boolean {
    return this.#parked.has(aggregate)
  }

  get parkedAggregates(): readonly string[] {
    return [...this.#parked.keys()]
  }

  get liveAggregates(): number {
    return this.#live.size
  }

  checkpoint(): AcceptanceCheckpoint {
    const encoded: Encoded = {
      format: 2,
      windows: [this.#windows.closedAggregates, this.#windows.decidedCommands],
      next: this.nextOffset,
      epoch: this.epoch,
      accepted: this.acceptedCount,
      rejected: this.rejectedCount,
      live: flat(this.#live),
      closed: flat(this.#closed.entries()),
      decided: flat(this.#decided.entries(), encodedOutcome),
      parked: flat(this.#parked),
    }
    return { nextOffset: this.nextOffset, body: Buffer.from(JSON.stringify(encoded)) }
  }

  /**
   * Takes over the state that `checkpoint` gave.
   * @throws OmiumError `snapshot_corrupt` when the body is not one, or was made under other windows
   */
  restore(checkpoint: AcceptanceCheckpoint): this {
    const encoded = parse(checkpoint.body)
    const { closedAggregates, decidedCommands } = this.#windows
    if (encoded.windows[0] !== closedAggregates || encoded.windows[1] !== decidedCommands) {
      throw new OmiumError('snapshot_corrupt', `the checkpoint was made under windows ${encoded.windows.join('/')}`)
    }
    if (encoded.next !== checkpoint.nextOffset) {
      throw new OmiumError('snapshot_corrupt', `the checkpoint is of ${encoded.next}, not ${checkpoint.nextOffset}`)
    }
    this.nextOffset = encoded.next
    this.epoch = encoded.epoch
    this.acceptedCount = encoded.accepted
    this.rejectedCount = encoded.rejected
    for (let i = 0; i < encoded.live.length; i += 2)
      this.#live.set(encoded.live[i] as string, encoded.live[i + 1] as number)
    for (let i = 0; i < encoded.closed.length; i += 2) {
      this.#closed.set(encoded.closed[i] as string, encoded.closed[i + 1] as number)
    }
    for (let i = 0; i < encoded.decided.length; i += 2) {
      this.#decided.set(encoded.decided[i] as string, outcomeFrom(encoded.decided[i + 1]))
    }
    for (let i = 0; i < encoded.parked.length; i += 2) {
      this.#parked.set(encoded.parked[i] as string, encoded.parked[i + 1] as number)
    }
    return this
  }
}

/** key, value, key, value, ...; a loop, because a checkpoint is made while everything else of the process waits */
const flat = <V, E = V>(
  entries: Iterable<readonly [string, V]>,
  encode: (value: V) => E = (value) => value as unknown as E,
): (string | E)[] => {
  const list: (string | E)[] = []
  for (const [key, value] of entries) list.push(key, encode(value))
  return list
}

const encodedOutcome = (outcome: CommandOutcome | null): 0 | 1 | readonly [string, string] =>
  outcome === null ? 0 : outcome.status === 'accepted' ? 1 : [outcome.code, outcome.detail]

const outcomeFrom = (encoded: unknown): CommandOutcome | null => {
  if (encoded === 0) return null
  if (encoded === 1) return acceptedOutcome
  const [code, detail] = encoded as [Extract<CommandOutcome, { status: 'rejected' }>['code'], string]
  return { status: 'rejected', code, detail }
}

const parse = (body: Buffer): Encoded => {
  try {
    const encoded = JSON.parse(body.toString()) as Encoded
    if (encoded.format === 2 && Array.isArray(encoded.live) && Array.isArray(encoded.decided)) return encoded
  } catch (cause) {
    throw new OmiumError('snapshot_corrupt', 'the acceptance checkpoint is not readable', { cause })
  }
  throw new OmiumError('snapshot_corrupt', 'the acceptance checkpoint has an unknown format')
}
