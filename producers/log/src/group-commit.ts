/**
 * At-least-once sending of records that need no order and no fold (commands, dead letters): everything waiting goes out
 * in one request; after an error the producer is destroyed and the same records are sent again by a new one.
 */
import { OmiumError } from '@omium/schemas'
import { messageOf } from './notices.ts'
import { backoffMs, pause, type Timers } from './timers.ts'
import type { AppendReceipt, LogTransport, PartitionBatch, RawRecord, TransportProducer } from './transport.ts'

interface Waiting {
  readonly topic: string
  readonly partition: number
  readonly raw: RawRecord
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

const firstBackoffMs = 20
const maxBackoffMs = 1_000

export class GroupCommit {
  readonly #options: GroupCommitOptions
  #producer: TransportProducer | undefined
  #waiting: Waiting[] = []
  #pumping: Promise<void> | undefined
  #closed = false

  constructor(options: GroupCommitOptions) {
    this.#options = options
  }

  /**
   * Resolves with the record's offset once it is on the log.
   * @throws OmiumError `log_unreachable` after too many attempts; the record may be on the log nevertheless
   */
  send(topic: string, partition: number, raw: RawRecord): Promise<number> {
    if (this.#closed) return Promise.reject(new OmiumError('log_unreachable', 'the sender is closed'))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ topic, partition, raw, resolve, reject, attempts: 0 })
      this.#pumping ??= this.#run().finally(() => {
        this.#pumping = undefined
      })
    })
  }

  /** Waits for what was given to `send`, then refuses more. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#pumping
    const producer = this.#producer
    this.#producer = undefined
    await producer?.close().catch(() => undefined)
  }

  async #run(): Promise<void> {
    const { timers, transport, maxAttempts, maxRecords = 5_000 } = this.#options
    await timers.turn()
    for (let failures = 0; this.#waiting.length > 0; ) {
      const batch = this.#waiting.splice(0, maxRecords)
      try {
        this.#producer ??= await transport.openProducer()
        settle(batch, await this.#producer.append(partitioned(batch)))
        failures = 0
      } catch (error) {
        const producer = this.#producer
        this.#producer = undefined
        void producer?.close().catch(() => undefined)
        const again: Waiting[] = []
        for (const waiting of batch) {
          if (++waiting.attempts < maxAttempts) again.push(waiting)
          else waiting.reject(unreachable(waiting, error))
        }
        this.#waiting = [...again, ...this.#waiting]
        if (this.#waiting.length > 0) await pause(timers, backoffMs(failures++, firstBackoffMs, maxBackoffMs))
      }
    }
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
