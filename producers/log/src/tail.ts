/**
 * Reading accepted events in log order. A tail folds acceptance itself, so what it delivers is what every owner and every
 * other reader holds for accepted. It survives unreachable brokers, and a registry that is away, by reading on where it stood.
 */
import { type EventEnvelope, eventsTopic, OmiumError } from '@omium/schemas'
import { AcceptanceFold } from './acceptance.ts'
import type {
  AcceptedEvent,
  DeadLetter,
  LogContext,
  OpenTail,
  Tail,
  TailBatch,
  TailOptions,
  TailRequest,
} from './contract.ts'
import { messageOf } from './notices.ts'
import { backoffMs, pause, systemTimers, type Timers } from './timers.ts'
import type { ReadBatch, TransportReader } from './transport.ts'

interface Position {
  readonly fold: AcceptanceFold
  readonly fromOffset: number
}

const firstBackoffMs = 50
const maxBackoffMs = 2_000

class EventsTail implements Tail {
  readonly #context: LogContext
  readonly #topic: string
  readonly #timers: Timers
  readonly #positions: ReadonlyMap<number, Position>
  readonly #wants: (envelope: EventEnvelope) => boolean
  #reader: TransportReader | undefined
  #closed = false

  constructor(
    context: LogContext,
    requests: readonly TailRequest[],
    createFold: () => AcceptanceFold,
    { wants = () => true }: TailOptions,
  ) {
    this.#wants = wants
    this.#context = context
    this.#topic = eventsTopic(context.topicPrefix, context.definition.name)
    this.#timers = context.timers ?? systemTimers
    this.#positions = new Map(
      requests.map(({ partition, fromOffset, checkpoint }) => {
        const fold = createFold()
        // a checkpoint behind the first offset wanted cannot be folded back
        if (checkpoint === undefined || checkpoint.nextOffset > fromOffset) return [partition, { fold, fromOffset }]
        try {
          return [partition, { fold: fold.restore(checkpoint), fromOffset }]
        } catch {
          // a checkpoint only saves time; one of another format, or a damaged one, is as good as none
          return [partition, { fold: createFold(), fromOffset }]
        }
      }),
    )
  }

  async next(): Promise<TailBatch | null> {
    for (let attempt = 0; !this.#closed; attempt++) {
      try {
        const batch = await this.#read()
        if (batch === null) break
        await this.#context.codec.learn(batch.records)
        const delivered = this.#fold(batch)
        if (delivered !== undefined) return delivered
        attempt = -1
      } catch (error) {
        // what was read and not folded must come again, or it would be missing without a trace
        await this.#closeReader()
        // an offset that is gone, or data that cannot be read, is not cured by trying again
        if (error instanceof OmiumError && !error.retryable) throw error
        await pause(this.#timers, backoffMs(attempt, firstBackoffMs, maxBackoffMs))
      }
    }
    await this.#closeReader()
    return null
  }

  checkpoint(partition: number) {
    return this.#position(partition).fold.checkpoint()
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#closeReader()
  }

  #position(partition: number): Position {
    const position = this.#positions.get(partition)
    if (position === undefined) throw new RangeError(`partition ${partition} is not read by this tail`)
    return position
  }

  async #read(): Promise<ReadBatch | null> {
    this.#reader ??= await this.#context.transport.openReader(
      [...this.#positions].map(([partition, { fold }]) => ({
        topic: this.#topic,
        partition,
        fromOffset: fold.nextOffset,
      })),
    )
    return this.#closed ? null : this.#reader.next()
  }

  async #closeReader(): Promise<void> {
    const reader = this.#reader
    this.#reader = undefined
    await reader?.close().catch(() => undefined)
  }

  /** Undefined when the batch lies before the first offset wanted. */
  #fold(batch: ReadBatch): TailBatch | undefined {
    const { partition, nextOffset, endOffset } = batch
    const { fold, fromOffset } = this.#position(partition)
    const events: AcceptedEvent[] = []
    const rejected: TailBatch['rejected'][number][] = []
    const deadLetters: DeadLetter[] = []
    for (const record of batch.records) {
      const { offset } = record
      if (offset < fold.nextOffset) continue
      const envelope = this.#context.codec.eventEnvelope(record)
      const verdict = fold.offer(offset, envelope)
      if (offset < fromOffset) continue
      if (envelope === undefined) {
        deadLetters.push({
          source: record,
          code: 'record_undecodable',
          detail: 'the headers are no envelope',
          reportedBy: 'tail',
        })
      }
      if (verdict !== 'accepted' || envelope === undefined) {
        rejected.push({ offset, reason: verdict === 'accepted' ? 'malformed' : verdict, record })
        continue
      }
      if (!this.#wants(envelope)) continue
      try {
        const data = this.#context.codec.decode('event', envelope.type, envelope.schemaVersion, record)
        events.push({ envelope, type: envelope.type, data, partition, offset })
      } catch (error) {
        deadLetters.push({ source: record, code: 'record_undecodable', detail: messageOf(error), reportedBy: 'tail' })
      }
    }
    if (nextOffset <= fromOffset) return undefined
    return { partition, events, rejected, deadLetters, nextOffset, endOffset }
  }
}

export const openTailWith = async (
  context: LogContext,
  requests: readonly TailRequest[],
  createFold: () => AcceptanceFold,
  options: TailOptions = {},
): Promise<Tail> => new EventsTail(context, requests, createFold, options)

/** A checkpoint that cannot be used (damaged, of another format) is ignored: the log is folded from its beginning. */
export const openTail: OpenTail = (context, requests, options) =>
  openTailWith(context, requests, () => new AcceptanceFold(), options)
