/**
 * Defects put into sound owners, one at a time. Each is a mistake that somebody could make in the log core; the spec
 * beside this file shows that the checker notices every one of them.
 */
import type { EventEnvelope } from '@omium/schemas'
import { AcceptanceFold, type Verdict } from '../acceptance.ts'
import { CommitQueue } from '../commit-queue.ts'
import type { AcceptanceCheckpoint, Appended, CommandOutcome, OwnerOptions } from '../contract.ts'
import { PartitionOwner, type PartitionOwnerDeps } from '../partition-owner.ts'
import type { OwnerParts } from '../parts.ts'
import type { AppendReceipt, LogTransport, PartitionBatch, StoredRecord, TransportProducer } from '../transport.ts'
import { LogWriter, type PreparedRecord, type WritablePartition } from '../writer.ts'
import type { Defect } from './scenario.ts'
import { SimulatedProducer } from './transport.ts'

type OwnerClass = new <S>(deps: PartitionOwnerDeps<S>, options: OwnerOptions<S>) => PartitionOwner<S>

const withFold = (createFold: () => AcceptanceFold): Defect => ({ parts: (parts) => ({ ...parts, createFold }) })
const withWriter = (createWriter: OwnerParts['createWriter']): Defect => ({
  parts: (parts) => ({ ...parts, createWriter }),
})
const withOwner = (Owner: OwnerClass): Defect => ({
  parts: (parts) => ({ ...parts, createPartitionOwner: (deps, options) => new Owner(deps, options) }),
})

class UnfencedFold extends AcceptanceFold {
  override judge(envelope: EventEnvelope): Verdict {
    return super.judge(envelope.type === 'PartitionClaimed' ? envelope : { ...envelope, epoch: this.epoch })
  }
}

class UnversionedFold extends AcceptanceFold {
  override judge(envelope: EventEnvelope): Verdict {
    const verdict = super.judge(envelope)
    return verdict === 'version_mismatch' ? 'accepted' : verdict
  }
}

class ForgetfulOwner<S> extends PartitionOwner<S> {
  override outcomeOf(_commandId: string): CommandOutcome | undefined {
    return undefined
  }
}

/** Remembers what it decided itself, not what was decided before it. */
class AmnesicOwner<S> extends PartitionOwner<S> {
  override outcomeOf(commandId: string): CommandOutcome | undefined {
    const outcome = super.outcomeOf(commandId)
    return outcome !== undefined && this.fold.isDecided(commandId) && this.epoch % 2 === 0 ? undefined : outcome
  }
}

class HastyWriter extends LogWriter {
  override append(
    target: WritablePartition,
    records: readonly PreparedRecord[],
    onAccepted?: () => void,
  ): Promise<Appended> {
    const appended = super.append(target, records, onAccepted)
    const first = records[0]?.envelope.type
    if (first === 'PartitionClaimed') return appended
    appended.catch(() => undefined)
    return Promise.resolve({ firstOffset: -1, lastOffset: -1 })
  }
}

class EagerCommitQueue extends CommitQueue {
  override track(offset: number): () => void {
    const decided = super.track(offset)
    decided()
    return () => undefined
  }
}

class UnorderedCommitQueue extends CommitQueue {
  #highest: number | undefined

  override track(offset: number): () => void {
    const decided = super.track(offset)
    return () => {
      decided()
      this.#highest = Math.max(this.#highest ?? 0, offset + 1)
    }
  }

  override take(): number | undefined {
    super.take()
    return this.#highest
  }
}

class GapBlindWriter extends LogWriter {
  protected override isContiguous(baseOffset: number, fold: AcceptanceFold): boolean {
    return baseOffset >= fold.nextOffset
  }
}

class RenamingWriter extends LogWriter {
  protected override resend(records: readonly PreparedRecord[]): readonly PreparedRecord[] {
    return records.map((record) => {
      const envelope = { ...record.envelope, id: `${record.envelope.id}r` }
      const raw = { ...record.raw, headers: { ...record.raw.headers, envelope: JSON.stringify(envelope) } }
      return { ...record, envelope, raw }
    })
  }
}

/** Settles the youngest append first when several wait. */
class DisorderlyWriter extends LogWriter {
  protected override settle(lane: Parameters<LogWriter['settle']>[0], offset: number): void {
    const [first] = lane.waiting
    const last = lane.waiting.at(-1)
    if (first && last && first !== last && first.settled === 0) {
      lane.waiting[0] = { ...first, resolve: last.resolve, reject: last.reject }
      lane.waiting[lane.waiting.length - 1] = { ...last, resolve: first.resolve, reject: first.reject }
    }
    super.settle(lane, offset)
  }
}

class UnclaimedOwner<S> extends PartitionOwner<S> {
  protected override nextEpoch(): number {
    return this.fold.epoch
  }

  protected override async claim(): Promise<void> {}
}

class BlindOwner<S> extends PartitionOwner<S> {
  protected override async readToEnd(): Promise<void> {}
}

/** Claims without looking at what came between reading and claiming. */
class DeafOwner<S> extends PartitionOwner<S> {
  override foldForeign(record: StoredRecord, envelope: EventEnvelope | undefined): Verdict {
    return this.epoch > 0 ? this.fold.offer(record.offset, envelope) : super.foldForeign(record, envelope)
  }
}

/** Pairs the state of now, with what is not accepted yet, with the acceptance of now. */
class ImpatientWriter extends LogWriter {
  override whenAccepted(_target: WritablePartition, run: () => void): void {
    run()
  }
}

class SkippingOwner<S> extends PartitionOwner<S> {
  protected override checkpointForSnapshot(): AcceptanceCheckpoint {
    const { nextOffset, body } = super.checkpointForSnapshot()
    const text = body.toString().replace(`"next":${nextOffset}`, `"next":${nextOffset + 1}`)
    return { nextOffset: nextOffset + 1, body: Buffer.from(text) }
  }
}

class CredulousOwner<S> extends PartitionOwner<S> {
  override foldForeign(record: StoredRecord, envelope: EventEnvelope | undefined): Verdict {
    const verdict = super.foldForeign(record, envelope)
    if (verdict !== 'accepted' && envelope !== undefined) this.applyRecord(record, envelope)
    return verdict
  }
}

class UnguardedProducer implements TransportProducer {
  readonly #producer: SimulatedProducer

  constructor(producer: SimulatedProducer) {
    this.#producer = producer
  }

  append(batches: readonly PartitionBatch[]): Promise<readonly AppendReceipt[]> {
    return this.#producer.appendUnguarded(batches)
  }

  async close(): Promise<void> {}
}

const reusingProducers = (transport: LogTransport): LogTransport => {
  let kept: TransportProducer | undefined
  return {
    ...transport,
    openProducer: async () => {
      const producer = kept ?? (await transport.openProducer())
      if (producer instanceof SimulatedProducer) kept = new UnguardedProducer(producer)
      return kept ?? producer
    },
  }
}

/** Takes an error for a success: the offsets are guessed. */
const takingErrorsForSuccess = (transport: LogTransport): LogTransport => ({
  ...transport,
  openProducer: async () => {
    const producer = await transport.openProducer()
    return {
      append: async (batches) => {
        try {
          return await producer.append(batches)
        } catch {
          const receipts: AppendReceipt[] = []
          for (const { topic, partition } of batches) {
            const ends = await transport.endOffsets(topic).catch(() => undefined)
            receipts.push({ topic, partition, baseOffset: ends?.get(partition) ?? 0 })
          }
          return receipts
        }
      },
      close: () => producer.close(),
    }
  },
})

export const defects: Readonly<Record<string, Defect>> = {
  'older epochs are not fenced': withFold(() => new UnfencedFold()),
  'versions are not checked': withFold(() => new UnversionedFold()),
  'decided commands are decided again': withOwner(ForgetfulOwner),
  'what predecessors decided is decided again': withOwner(AmnesicOwner),
  'appends are acknowledged before they are accepted': withWriter((options) => new HastyWriter(options)),
  'offsets are committed on delivery': {
    parts: (parts) => ({ ...parts, createCommitQueue: () => new EagerCommitQueue() }),
  },
  'offsets are committed out of order': {
    parts: (parts) => ({ ...parts, createCommitQueue: () => new UnorderedCommitQueue() }),
  },
  'a producer is used again after an error': { transport: reusingProducers },
  'a gap before our records is ignored': withWriter((options) => new GapBlindWriter(options)),
  'an error is taken for a success': {
    parts: (parts) => ({ ...parts, createWriter: (options) => new GapBlindWriter(options) }),
    transport: takingErrorsForSuccess,
  },
  'records are sent again under new ids': withWriter((options) => new RenamingWriter(options)),
  'appends are resolved out of order': withWriter((options) => new DisorderlyWriter(options)),
  'partitions are owned without a claim': withOwner(UnclaimedOwner),
  'partitions are claimed without reading to the end': withOwner(BlindOwner),
  'what came between reading and claiming is not applied': withOwner(DeafOwner),
  'a snapshot holds what is not accepted yet': withWriter((options) => new ImpatientWriter(options)),
  'a snapshot says an offset too high': withOwner(SkippingOwner),
  'rejected records are applied': withOwner(CredulousOwner),
}
