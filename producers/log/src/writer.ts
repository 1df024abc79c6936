/**
 * The group-commit writer: one for all partitions that a process owns.
 *
 * 1. One request is in flight. Everything that waits goes into the next one; a partition's records keep their order.
 * 2. Nothing is settled before the fold has accepted it at its offset. When a reply's base offset is the next one that the
 *    fold expects, nothing came between and the records are folded as they are; otherwise the log is read up to them.
 * 3. After any error the producer is destroyed, and every partition of the request is in doubt: its log is read to the
 *    end, what is found is settled, what is not is sent again with the same ids. Should the first request take effect
 *    after all, the fold accepts whichever comes first and refuses the other by its version.
 * 4. Doubt in one partition does not stop the others. It ends only with an answer of the log or with the loss of the
 *    partition; nothing in doubt is ever acknowledged.
 * 5. A newer claim, or a verdict that cannot be explained, loses the partition: all that waits is rejected `log_fenced`.
 */
import { type EventEnvelope, OmiumError } from '@omium/schemas'
import type { AcceptanceFold, Verdict } from './acceptance.ts'
import type { Appended, CommandOutcome, RecordCodec } from './contract.ts'
import { type Counters, messageOf, type OnNotice } from './notices.ts'
import { endOf, readThrough } from './reading.ts'
import { bytesOf } from './record-size.ts'
import { backoffMs, pause, type Timers } from './timers.ts'
import type {
  AppendReceipt,
  LogTransport,
  PartitionBatch,
  RawRecord,
  StoredRecord,
  TransportProducer,
} from './transport.ts'

export interface PreparedRecord {
  readonly envelope: EventEnvelope
  readonly raw: RawRecord
  /** what the record says about its command, when it decides one without an event */
  readonly outcome?: CommandOutcome
}

/** What the writer needs to know of a partition. */
export interface WritablePartition {
  readonly partition: number
  readonly fold: AcceptanceFold
  /** the epoch that its records carry; while it is being claimed, the epoch claimed */
  readonly epoch: number
  /** folds a record that this writer does not wait for: an older owner's before our claim, a zombie's, garbage */
  foldForeign(record: StoredRecord, envelope: EventEnvelope | undefined): Verdict
  /** the partition is lost; the writer has forgotten it */
  onLost(error: OmiumError): void
}

export interface PendingAppend {
  readonly records: readonly PreparedRecord[]
  settled: number
  firstOffset: number
  lastOffset: number
  readonly resolve: (appended: Appended) => void
  readonly reject: (error: OmiumError) => void
  /** called in the moment of acceptance, when the fold stands exactly behind the append */
  readonly onAccepted: (() => void)[]
}

export interface Lane {
  readonly target: WritablePartition
  readonly waiting: PendingAppend[]
  /** records from the front of `waiting` that the request in flight carries */
  inFlight: number
  inDoubt: boolean
  dropped: boolean
  idle: (() => void)[]
}

export interface WriterOptions {
  readonly transport: LogTransport
  readonly codec: Pick<RecordCodec, 'eventEnvelope' | 'learn'>
  readonly topic: string
  readonly timers: Timers
  readonly counters: Counters
  readonly onNotice: OnNotice
  /** bound of one partition's part of a request; a single larger append goes alone */
  readonly maxBatchBytes?: number
  readonly maxBatchRecords?: number
}

const firstBackoffMs = 20
const maxBackoffMs = 2_000

export class LogWriter {
  readonly #options: WriterOptions
  readonly #lanes = new Map<number, Lane>()
  readonly #maxBytes: number
  readonly #maxRecords: number
  #producer: TransportProducer | undefined
  #opening: Promise<TransportProducer | undefined> | undefined
  #pumping = false
  #closed = false
  #failures = 0

  constructor(options: WriterOptions) {
    this.#options = options
    this.#maxBytes = options.maxBatchBytes ?? 512 * 1024
    this.#maxRecords = options.maxBatchRecords ?? 10_000
  }

  attach(target: WritablePartition): void {
    if (this.#lanes.has(target.partition)) throw new Error(`partition ${target.partition} is attached already`)
    const lane: Lane = { target, waiting: [], inFlight: 0, inDoubt: false, dropped: false, idle: [] }
    this.#lanes.set(target.partition, lane)
  }

  /** Forgets a partition; what waits is rejected `log_fenced`, although it may have taken effect. */
  detach(target: WritablePartition): void {
    const lane = this.#lanes.get(target.partition)
    if (lane?.target === target) this.#drop(lane, lostError(target, 'given up by this process'))
  }

  /**
   * Appends records of one attached partition after all earlier ones.
   * @throws OmiumError `log_fenced` when the partition is lost
   */
  append(target: WritablePartition, records: readonly PreparedRecord[], onAccepted?: () => void): Promise<Appended> {
    const lane = this.#lanes.get(target.partition)
    if (lane?.target !== target || this.#closed) return Promise.reject(lostError(target, 'not owned by this process'))
    const appended = new Promise<Appended>((resolve, reject) => {
      const pending = { records, settled: 0, firstOffset: -1, lastOffset: -1, resolve, reject }
      lane.waiting.push({ ...pending, onAccepted: onAccepted ? [onAccepted] : [] })
    })
    this.#options.counters.add('appended', records.length)
    this.#pump()
    return appended
  }

  /** Calls `run` in the moment when everything appended so far is accepted: at once when nothing waits. */
  whenAccepted(target: WritablePartition, run: () => void): void {
    const lane = this.#lanes.get(target.partition)
    if (lane?.target !== target) return
    const last = lane.waiting.at(-1)
    if (last === undefined) run()
    else last.onAccepted.push(run)
  }

  /** Resolves when nothing of the partition waits any more, or it is lost. */
  drained(target: WritablePartition): Promise<void> {
    const lane = this.#lanes.get(target.partition)
    if (lane?.target !== target || lane.waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => {
      lane.idle.push(resolve)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const lane of [...this.#lanes.values()]) this.#drop(lane, lostError(lane.target, 'the writer was closed'))
    const producer = this.#producer
    this.#producer = undefined
    await producer?.close().catch(() => undefined)
  }

  /** Whether a reply proves that nothing came between the fold and the records. */
  protected isContiguous(baseOffset: number, fold: AcceptanceFold): boolean {
    return baseOffset === fold.nextOffset
  }

  /** The records to send again after doubt in which they were not found. */
  protected resend(records: readonly PreparedRecord[]): readonly PreparedRecord[] {
    return records
  }

  #pump(): void {
    if (this.#pumping || this.#closed) return
    this.#pumping = true
    void this.#run()
      .catch(this.#giveUp)
      .finally(() => {
        this.#pumping = false
        // an append may have come in between the last look and this line
        if ([...this.#lanes.values()].some((lane) => isReady(lane))) this.#pump()
      })
  }

  /** A defect of the writer itself: nothing it holds can be trusted, so every partition is rebuilt from the log. */
  readonly #giveUp = (error: unknown): void => {
    const fields = { error: messageOf(error) }
    this.#options.onNotice({ level: 'error', message: 'the writer failed; all partitions are given up', fields })
    this.#options.counters.add('violations')
    for (const lane of [...this.#lanes.values()]) this.#drop(lane, lostError(lane.target, messageOf(error)))
  }

  async #run(): Promise<void> {
    await this.#options.timers.turn()
    while (!this.#closed) {
      const lanes = [...this.#lanes.values()].filter(isReady)
      if (lanes.length === 0) return
      const producer = await this.#openProducer()
      if (producer === undefined) continue
      const batches: PartitionBatch[] = []
      const sent: Lane[] = []
      for (const lane of lanes) {
        if (!isReady(lane)) continue
        batches.push(this.#batchOf(lane))
        sent.push(lane)
      }
      if (sent.length > 0) await this.#send(producer, batches, sent)
    }
  }

  /** Undefined when none could be opened; then it has waited before returning. */
  #openProducer(): Promise<TransportProducer | undefined> {
    if (this.#producer !== undefined) return Promise.resolve(this.#producer)
    this.#opening ??= this.#tryToOpen().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #tryToOpen(): Promise<TransportProducer | undefined> {
    const { transport, timers, onNotice } = this.#options
    try {
      const producer = await transport.openProducer()
      if (this.#closed) {
        await producer.close().catch(() => undefined)
        return undefined
      }
      this.#producer = producer
      return producer
    } catch (error) {
      onNotice({
        level: 'warn',
        message: 'no producer can be opened; trying again',
        fields: { error: messageOf(error) },
      })
      await pause(timers, backoffMs(this.#failures++, firstBackoffMs, maxBackoffMs))
      return undefined
    }
  }

  #batchOf(lane: Lane): PartitionBatch {
    const records: RawRecord[] = []
    let bytes = 0
    for (const append of lane.waiting) {
      const rest = append.settled === 0 ? append.records : append.records.slice(append.settled)
      let size = 0
      for (const { raw } of rest) size += bytesOf(raw)
      if (records.length > 0 && (bytes + size > this.#maxBytes || records.length + rest.length > this.#maxRecords))
        break
      bytes += size
      for (const { raw } of rest) records.push(raw)
    }
    lane.inFlight = records.length
    return { topic: this.#options.topic, partition: lane.target.partition, records }
  }

  async #send(producer: TransportProducer, batches: readonly PartitionBatch[], lanes: readonly Lane[]): Promise<void> {
    const { counters, onNotice } = this.#options
    counters.add('requests')
    let receipts: readonly AppendReceipt[]
    try {
      receipts = await producer.append(batches)
      this.#failures = 0
    } catch (error) {
      this.#producer = undefined
      void producer.close().catch(() => undefined)
      onNotice({
        level: 'warn',
        message: 'the outcome of an append is in doubt',
        fields: { partitions: lanes.map((lane) => lane.target.partition), error: messageOf(error) },
      })
      for (const lane of lanes) this.#doubt(lane)
      return
    }
    for (const lane of lanes) {
      if (lane.dropped) continue
      const receipt = receipts.find((r) => r.partition === lane.target.partition)
      if (receipt === undefined) this.#doubt(lane)
      else if (this.isContiguous(receipt.baseOffset, lane.target.fold)) this.#settleReply(lane, receipt.baseOffset)
      else if (receipt.baseOffset > lane.target.fold.nextOffset) this.#doubt(lane, receipt.baseOffset + lane.inFlight)
      // an offset that the fold has passed cannot be ours: only the log itself can say what is
      else this.#doubt(lane)
    }
  }

  #settleReply(lane: Lane, baseOffset: number): void {
    const { fold } = lane.target
    const count = lane.inFlight
    lane.inFlight = 0
    for (let i = 0; i < count && !lane.dropped; i++) {
      const head = lane.waiting[0]
      const record = head?.records[head.settled]
      if (record === undefined) throw new Error('more records were sent than wait')
      const verdict = fold.offer(baseOffset + i, record.envelope, record.outcome)
      if (verdict !== 'accepted') {
        this.#violation(lane, record.envelope, verdict)
        return
      }
      this.settle(lane, baseOffset + i)
    }
  }

  /** The first record that waits was accepted at `offset`. */
  protected settle(lane: Lane, offset: number): void {
    const head = lane.waiting[0]
    if (head === undefined) return
    this.#options.counters.add('accepted')
    if (head.settled === 0) head.firstOffset = offset
    head.lastOffset = offset
    head.settled++
    if (head.settled < head.records.length) return
    lane.waiting.shift()
    for (const run of head.onAccepted) run()
    head.resolve({ firstOffset: head.firstOffset, lastOffset: head.lastOffset })
    if (lane.waiting.length === 0) wakeAll(lane)
  }

  /**
   * Finds out what became of the records in flight, by reading the log up to `target` (the end of the log when unknown),
   * however long that takes.
   */
  #doubt(lane: Lane, target?: number): void {
    if (lane.dropped) return
    lane.inDoubt = true
    this.#options.counters.add('doubts')
    void this.#resolveDoubt(lane, target)
  }

  async #resolveDoubt(lane: Lane, target: number | undefined): Promise<void> {
    const { transport, topic, timers, onNotice } = this.#options
    const { partition } = lane.target
    for (let attempt = 0; !lane.dropped; attempt++) {
      try {
        // the producer first: whatever the log holds now, the new one's requests come after it
        if (target === undefined && (await this.#openProducer()) === undefined) continue
        const toOffset = target ?? (await endOf(transport, topic, partition))
        await this.#foldUpTo(lane, toOffset)
        break
      } catch (error) {
        const fields = { partition, attempt, error: messageOf(error) }
        onNotice({ level: 'warn', message: 'doubt about an append is not resolved yet', fields })
        await pause(timers, backoffMs(attempt, firstBackoffMs, maxBackoffMs))
      }
    }
    if (lane.dropped) return
    this.#renew(lane)
    lane.inFlight = 0
    lane.inDoubt = false
    this.#pump()
  }

  #renew(lane: Lane): void {
    let left = lane.inFlight
    for (const [i, append] of lane.waiting.entries()) {
      if (left <= 0) return
      left -= append.records.length - append.settled
      const done = append.records.slice(0, append.settled)
      const again = this.resend(append.records.slice(append.settled))
      lane.waiting[i] = { ...append, records: [...done, ...again] }
    }
  }

  async #foldUpTo(lane: Lane, toOffset: number): Promise<void> {
    const { transport, codec, topic } = this.#options
    const { partition, fold } = lane.target
    await readThrough(transport, { topic, partition, fromOffset: fold.nextOffset, toOffset }, async (batch) => {
      await codec.learn(batch.records)
      for (const record of batch.records) {
        if (lane.dropped) return
        this.#foldRead(lane, record)
      }
    })
  }

  #foldRead(lane: Lane, record: StoredRecord): void {
    const { target } = lane
    const envelope = this.#options.codec.eventEnvelope(record)
    const head = lane.waiting[0]
    const expected = head?.records[head.settled]
    if (envelope === undefined || expected?.envelope.id !== envelope.id) {
      const verdict = target.foldForeign(record, envelope)
      if (verdict === 'accepted' && envelope !== undefined) this.#foreign(lane, envelope)
      return
    }
    const verdict = target.fold.offer(record.offset, envelope, expected.outcome)
    if (verdict !== 'accepted') {
      this.#refused(lane, envelope, verdict)
      return
    }
    lane.inFlight = Math.max(0, lane.inFlight - 1)
    this.settle(lane, record.offset)
  }

  #foreign(lane: Lane, envelope: EventEnvelope): void {
    const { target } = lane
    if (envelope.type === 'PartitionClaimed' && envelope.epoch >= target.epoch) {
      this.#drop(lane, lostError(target, `epoch ${envelope.epoch} was claimed`))
    } else if (envelope.epoch >= target.epoch && envelope.version > 0) {
      this.#violation(lane, envelope, 'somebody else writes with our epoch')
    }
  }

  /** The record that we wait for was refused where it stands. */
  #refused(lane: Lane, envelope: EventEnvelope, verdict: Verdict): void {
    const { target } = lane
    if (envelope.type === 'PartitionClaimed' || target.fold.epoch > target.epoch) {
      this.#drop(lane, lostError(target, `another owner claimed epoch ${target.fold.epoch}`))
    } else this.#violation(lane, envelope, verdict)
  }

  /** Must never happen; then it is safer to give the partition up and to build it anew from the log. */
  #violation(lane: Lane, envelope: EventEnvelope, what: string): void {
    const { partition, epoch } = lane.target
    this.#options.counters.add('violations')
    this.#options.onNotice({
      level: 'error',
      message: 'a record of ours was refused without a newer claim; the partition is given up and rebuilt from the log',
      fields: { partition, epoch, type: envelope.type, aggregate: envelope.aggregate, id: envelope.id, what },
    })
    this.#drop(lane, lostError(lane.target, `a record was refused: ${what}`))
  }

  #drop(lane: Lane, error: OmiumError): void {
    if (lane.dropped) return
    lane.dropped = true
    this.#lanes.delete(lane.target.partition)
    const waiting = lane.waiting.splice(0)
    for (const append of waiting) append.reject(error)
    wakeAll(lane)
    lane.target.onLost(error)
  }
}

const isReady = (lane: Lane): boolean => !lane.dropped && !lane.inDoubt && lane.waiting.length > 0

const wakeAll = (lane: Lane): void => {
  const idle = lane.idle
  lane.idle = []
  for (const wake of idle) wake()
}

const lostError = ({ partition, epoch }: WritablePartition, why: string): OmiumError =>
  new OmiumError('log_fenced', `partition ${partition} (epoch ${epoch}) is lost: ${why}`)
