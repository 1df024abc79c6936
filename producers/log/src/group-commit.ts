/**
 * At-least-once sending of records that need no order and no fold (commands, dead letters): everything waiting goes out
 * in one request, as far as the log takes that much; after an error the producer is destroyed and the same records are
 * sent again by a new one. A record that is refused for its size fails alone.
 */
import { OmiumError } from '@omium/schemas'
import { messageOf } from './notices.ts'
import { bytesOf, maxAppendBytes } from './record-size.ts'
import { backoffMs, pause, type Timers } from './timers.ts'
import type { AppendReceipt, LogTransport, PartitionBatch, RawRecord, TransportProducer } from './transport.ts'

interface Waiting {
  readonly topic: string
  readonly partition: number
  readonly raw: RawRecord
  readonly bytes: number
  readonly resolve: (offset: number) => void
  readonly reject: (error: OmiumError) => void
  attempts: number
}

export interface GroupCommitOptions {
  readonly transport: LogTransport
  readonly timers: Timers
  /** how often a record is sent before its promise rejects */
  readonly maxAttempts: number
  readonly maxRecords?: number
}

/** of one partition in one request; a larger record goes alone */
const maxBatchBytes = 1024 * 1024
const firstBackoffMs = 20
const maxBackoffMs = 1_000

export class GroupCommit {
  readonly #options: GroupCommitOptions
  #producer: TransportProducer | undefined
  #waiting: Waiting[] = []
  /** so many from the front are sent one by one */
  #alone = 0
  #pumping: Promise<void> | undefined
  #closed = false
  /** rejects everything that waits, or is in flight, from now on */
  #giveUp: () => void = () => undefined
  readonly #givenUp: Promise<void>
  #isGivenUp = false

  constructor(options: GroupCommitOptions) {
    this.#options = options
    this.#givenUp = new Promise((resolve) => {
      this.#giveUp = () => {
        this.#isGivenUp = true
        this.#waiting = this.#failed(this.#waiting, new OmiumError('log_unreachable', 'the sender is closed'))
        resolve()
      }
    })
  }

  /**
   * Resolves with the record's offset once it is on the log.
   * @throws OmiumError `log_unreachable` after too many attempts; the record may be on the log nevertheless;
   *   `payload_too_large` when the log does not take records of this size
   */
  send(topic: string, partition: number, raw: RawRecord): Promise<number> {
    if (this.#closed) return Promise.reject(new OmiumError('log_unreachable', 'the sender is closed'))
    const bytes = bytesOf(raw)
    if (bytes > maxAppendBytes) {
      return Promise.reject(new OmiumError('payload_too_large', `a record of ${bytes} bytes for ${topic}`))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ topic, partition, raw, bytes, resolve, reject, attempts: 0 })
      this.#pumping ??= this.#run()
    })
  }

  /** Refuses more, and waits for what was given to `send`: for `withinMs` at most when that is given, then gives it up. */
  async close(withinMs?: number): Promise<void> {
    this.#closed = true
    const { timers } = this.#options
    const cancel = withinMs === undefined ? undefined : timers.after(withinMs, () => this.#giveUp())
    await Promise.race([this.#pumping, this.#givenUp])
    cancel?.()
    const producer = this.#producer
    this.#producer = undefined
    await producer?.close().catch(() => undefined)
  }

  async #run(): Promise<void> {
    const { timers, transport } = this.#options
    await timers.turn()
    for (let failures = 0; this.#waiting.length > 0; ) {
      const batch = this.#next()
      try {
        this.#producer ??= await transport.openProducer()
        settle(batch, await this.#producer.append(partitioned(batch)))
        failures = 0
      } catch (error) {
        const producer = this.#producer
        this.#producer = undefined
        void producer?.close().catch(() => undefined)
        this.#waiting = [...this.#failed(batch, error), ...this.#waiting]
        if (this.#waiting.length > 0) await pause(timers, backoffMs(failures++, firstBackoffMs, maxBackoffMs))
      }
    }
    // in the same turn as the last look: who sends in reaction to an outcome must find that nobody pumps
    this.#pumping = undefined
  }

  /** Takes what goes into the next request from the front of what waits. */
  #next(): Waiting[] {
    const { maxRecords = 5_000 } = this.#options
    if (this.#alone > 0) {
      this.#alone--
      return this.#waiting.splice(0, 1)
    }
    const sizes = new Map<string, number>()
    let count = 0
    for (const { topic, partition, bytes } of this.#waiting) {
      const key = keyOf(topic, partition)
      const size = (sizes.get(key) ?? 0) + bytes
      if (count > 0 && (count >= maxRecords || size > maxBatchBytes)) break
      sizes.set(key, size)
      count++
    }
    return this.#waiting.splice(0, count)
  }

  /** What of a failed request is to be sent again. */
  #failed(batch: readonly Waiting[], error: unknown): Waiting[] {
    if (error instanceof OmiumError && error.code === 'payload_too_large') {
      // one of them is to blame: each shows for itself
      if (batch.length > 1) {
        this.#alone = batch.length
        return [...batch]
      }
      for (const waiting of batch) waiting.reject(error)
      return []
    }
    return batch.filter((waiting) => {
      if (++waiting.attempts < this.#options.maxAttempts && !this.#isGivenUp) return true
      waiting.reject(unreachable(waiting, error))
      return false
    })
  }
}

const unreachable = ({ topic, attempts }: Waiting, error: unknown): OmiumError =>
  new OmiumError('log_unreachable', `${topic} did not take the record in ${attempts} attempts: ${messageOf(error)}`, {
    cause: error,
  })

const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`

const partitioned = (batch: readonly Waiting[]): PartitionBatch[] => {
  const byPartition = new Map<string, PartitionBatch & { records: RawRecord[] }>()
  for (const { topic, partition, raw } of batch) {
    const key = keyOf(topic, partition)
    const existing = byPartition.get(key)
    if (existing) existing.records.push(raw)
    else byPartition.set(key, { topic, partition, records: [raw] })
  }
  return [...byPartition.values()]
}

const settle = (batch: readonly Waiting[], receipts: readonly AppendReceipt[]): void => {
  const next = new Map(receipts.map((r) => [keyOf(r.topic, r.partition), r.baseOffset]))
  for (const waiting of batch) {
    const key = keyOf(waiting.topic, waiting.partition)
    const offset = next.get(key)
    if (offset === undefined) throw new OmiumError('log_in_doubt', `the log gave no receipt for ${key}`)
    next.set(key, offset + 1)
    waiting.resolve(offset)
  }
}
