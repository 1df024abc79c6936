/**
 * The simulated log: partitions, and a network between them and the processes that can lose, delay and reorder.
 *
 * 1. What was appended stays, in order; offsets are contiguous. Retention may delete from the front.
 * 2. A request may be lost, take effect with its reply lost, or take effect long after its producer was given up (a ghost).
 *    Partitions of one request fail one by one.
 * 3. A producer that is used again after an error acknowledges what it never wrote, as kafkajs's was measured to do. The
 *    guard in front of it is the transport's; a simulated bug can take it away.
 */
import { OmiumError } from '@omium/schemas'
import { bytesOf } from '../record-size.ts'
import type { AppendReceipt, PartitionBatch, RawRecord, ReadBatch, StoredRecord, TopicSpec } from '../transport.ts'
import type { Process, World } from './world.ts'

export interface Faults {
  /** one way through the network, ms */
  readonly minDelayMs: number
  readonly maxDelayMs: number
  /** probabilities for each request */
  readonly lostRequest: number
  readonly lostReply: number
  readonly ghost: number
  readonly openFails: number
  readonly readFails: number
  readonly commitFails: number
  /** probability, for each delivery of commands, that the member's position falls back to the committed offset */
  readonly redelivery: number
  /** probability that an assignment reaches a member late, so that two members think they own a partition */
  readonly lateAssignment: number
}

export const noFaults: Faults = {
  minDelayMs: 1,
  maxDelayMs: 1,
  lostRequest: 0,
  lostReply: 0,
  ghost: 0,
  openFails: 0,
  readFails: 0,
  commitFails: 0,
  redelivery: 0,
  lateAssignment: 0,
}

interface Partition {
  readonly records: StoredRecord[]
  /** records before this offset cannot be read any more */
  first: number
  unavailableUntilMs: number
}

type Fate = 'ok' | 'lost request' | 'lost reply' | 'ghost'

export class SimulatedLog {
  faults: Faults
  /** a partition's part of a request that is larger is refused */
  maxBatchBytes = Number.POSITIVE_INFINITY
  readonly world: World
  readonly #topics = new Map<string, Partition[]>()
  #waiting: (() => void)[] = []

  constructor(world: World, faults: Faults = noFaults) {
    this.world = world
    this.faults = faults
  }

  ensureTopics(topics: readonly TopicSpec[]): void {
    for (const { topic, partitions } of topics) {
      const existing = this.#topics.get(topic)
      if (existing === undefined) {
        const fresh = Array.from(
          { length: partitions },
          (): Partition => ({ records: [], first: 0, unavailableUntilMs: 0 }),
        )
        this.#topics.set(topic, fresh)
      } else if (existing.length !== partitions) {
        throw new OmiumError(
          'settings_invalid',
          `topic ${topic} has ${existing.length} partitions, not ${partitions}; partition counts never change`,
        )
      }
    }
  }

  partitionsOf(topic: string): readonly Partition[] {
    const partitions = this.#topics.get(topic)
    if (partitions === undefined) throw new OmiumError('log_unreachable', `there is no topic ${topic}`)
    return partitions
  }

  records(topic: string, partition: number): readonly StoredRecord[] {
    return this.#partition(topic, partition).records
  }

  #partition(topic: string, partition: number): Partition {
    const found = this.partitionsOf(topic)[partition]
    if (found === undefined) throw new OmiumError('log_unreachable', `topic ${topic} has no partition ${partition}`)
    return found
  }

  /** Retention deletes everything before `offset`. */
  truncate(topic: string, partition: number, offset: number): void {
    const target = this.#partition(topic, partition)
    target.first = Math.max(target.first, Math.min(offset, target.records.length))
  }

  /** The first offset that can be read. */
  first(topic: string, partition: number): number {
    return this.#partition(topic, partition).first
  }

  delay(): number {
    return this.world.random.between(this.faults.minDelayMs, this.faults.maxDelayMs)
  }

  loseLeader(topic: string, partition: number, durationMs: number): void {
    this.#partition(topic, partition).unavailableUntilMs = this.world.nowMs + durationMs
  }

  isAvailable(topic: string, partition: number): boolean {
    return this.#partition(topic, partition).unavailableUntilMs <= this.world.nowMs
  }

  write(topic: string, partition: number, records: readonly RawRecord[]): number {
    const target = this.#partition(topic, partition)
    const base = target.records.length
    for (const record of records) {
      target.records.push({ ...record, topic, partition, offset: target.records.length, timestamp: this.world.nowMs })
    }
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
    return base
  }

  /** Calls `wake` once at the next write anywhere. */
  onceWritten(wake: () => void): void {
    this.#waiting.push(wake)
  }

  read(topic: string, partition: number, fromOffset: number, max: number): ReadBatch {
    const { records } = this.#partition(topic, partition)
    const slice = records.slice(fromOffset, fromOffset + max)
    return { topic, partition, records: slice, nextOffset: fromOffset + slice.length, endOffset: records.length }
  }

  /** One produce request of a process: what it gets back, if it ever gets something back. */
  request(
    batches: readonly PartitionBatch[],
    process: Process,
    reply: (receipts: readonly AppendReceipt[] | Error) => void,
  ): void {
    const { world } = this
    const receipts: AppendReceipt[] = []
    let answers = 0
    let failed = false
    const tooLarge = batches.some(({ records }) => this.#isTooLarge(records))
    const failure = tooLarge
      ? new OmiumError('payload_too_large', 'the log refuses records of this size')
      : new OmiumError('log_unreachable', 'request timed out')
    const answer = () => {
      if (++answers < batches.length) return
      // a lost reply shows as a timeout, which is slower than any answer
      const delayMs = failed ? this.delay() * world.random.between(1, 20) : this.delay()
      world.after(delayMs, () => reply(failed ? failure : receipts), process)
    }
    for (const batch of batches) {
      const fate = this.#fate()
      const arrivalMs = this.delay() * (fate === 'ghost' ? world.random.between(10, 400) : 1)
      world.after(arrivalMs, () => {
        const reachable = fate === 'ghost' || this.isAvailable(batch.topic, batch.partition)
        const available = reachable && !this.#isTooLarge(batch.records)
        if (fate !== 'lost request' && available) {
          const baseOffset = this.write(batch.topic, batch.partition, batch.records)
          receipts.push({ topic: batch.topic, partition: batch.partition, baseOffset })
        }
        if (fate !== 'ok' || !available) failed = true
        if (fate !== 'ghost') answer()
      })
      if (fate === 'ghost') {
        failed = true
        world.after(this.delay(), answer)
      }
    }
  }

  #isTooLarge(records: readonly RawRecord[]): boolean {
    if (this.maxBatchBytes === Number.POSITIVE_INFINITY) return false
    return records.reduce((bytes, record) => bytes + bytesOf(record), 0) > this.maxBatchBytes
  }

  #fate(): Fate {
    const { lostRequest, lostReply, ghost } = this.faults
    const dice = this.world.random.next()
    if (dice < lostRequest) return 'lost request'
    if (dice < lostRequest + lostReply) return 'lost reply'
    if (dice < lostRequest + lostReply + ghost) return 'ghost'
    return 'ok'
  }
}
