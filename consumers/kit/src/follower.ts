import {
  type AcceptanceCheckpoint,
  type AcceptedEvent,
  type LogContext,
  openTail,
  type SnapshotStore,
  type Tail,
  type TailBatch,
} from '@omium/log'
import { type EventEnvelope, eventsTopic } from '@omium/schemas'
import type { Notices } from './notices.ts'
import { type Place, Places } from './places.ts'
import { keepReading, type Reading } from './reading.ts'
import { repeat, retry } from './retry.ts'
import type { Clock } from './timer-queue.ts'

/**
 * Follows one partition of a context's events and sees that what they ask for is done.
 *
 * 1. At least once: the next batch is taken in when everything that the last one asks for is done, and a place to go on from
 *    is stored only then. So what is done has to bear repetition, by ids made from what it is about.
 * 2. A stored place may be old, lost or damaged: then more is read again, from the beginning of the log at worst.
 * 3. Work of one aggregate is done in order, of several at once; it is tried again until it succeeds. While it cannot be
 *    done, following waits.
 * 4. An event that cannot be taken in has its aggregate passed over from there on; the others go on. Events that cannot be
 *    decoded are left out.
 * 5. Two at once on the same partition do the same work twice and no harm.
 */
export interface Following<M = unknown, W extends Work = Work> {
  /** of the events that are followed */
  readonly context: LogContext
  /** who follows, e.g. `recovery`; part of the name under which places are stored */
  readonly name: string
  /** changes with whatever readers do otherwise with the same events */
  readonly version: number
  /** how often readers look around, ms */
  readonly sweepMs?: number
  /** older places are kept too, so many offsets apart at least, for those who look at the past: see `openPast` */
  readonly landmarkEvery?: number
  /** @param memory what the last reader remembered; null: from the beginning of the log */
  begin(memory: M | null, log: { readonly partition: number; readonly endOffset: number }): EventReader<M, W>
}

/** What events ask for. */
export interface Work {
  /** of whose events it follows */
  readonly aggregate: string
}

/** What a capability makes of the events of one partition; made anew whenever reading starts. */
export interface EventReader<M = unknown, W extends Work = Work> {
  /** how many aggregates it watches, for metrics */
  readonly size?: number
  wants(envelope: EventEnvelope): boolean
  /** Takes an event in. @returns what is to be done because of it */
  observe(event: AcceptedEvent): readonly W[]
  /** The batch is over. @returns what else is to be done now */
  batchRead?(nextOffset: number): readonly W[]
  /** Looks at what it knows: what is to be done because time has passed. `isCurrent`: nothing waits to be read. */
  sweep?(isCurrent: () => Promise<boolean>): Promise<readonly W[]>
  /** @param attempt from 1; after a failure it comes again */
  perform(work: W, attempt: number): Promise<void>
  /** What it knows, as plain JSON; null: nothing that could be gone on from. */
  memory(): M | null
  /** Offset of the oldest event that has to be read again, when memory does not hold what came of it. */
  rereadFrom?(): number | undefined
}

export interface FollowerOptions {
  readonly store: SnapshotStore
  readonly clock: Clock
  readonly notices: Notices
}

/** what was read since can be read again in a moment */
const storeEveryMs = 5_000
const foldsKept = 3
const aggregatesAtOnce = 8

const placesOf = (
  { context, name, version, landmarkEvery }: Following,
  { store, notices }: Pick<FollowerOptions, 'store' | 'notices'>,
): Places => {
  const topic = `${eventsTopic(context.topicPrefix, context.definition.name)}~${name}`
  return new Places({ store, topic, version, landmarkEvery, notices })
}

/**
 * One partition as it was: what readers of a following knew at a place at or before an offset, and a tail from there on. So far back
 * as landmarks go; at worst from the beginning of the log, of which nothing was known (null).
 */
export const openPast = async <M, W extends Work>(
  following: Following<M, W>,
  options: Pick<FollowerOptions, 'store' | 'notices'>,
  from: { readonly partition: number; readonly offset: number },
  wants: (envelope: EventEnvelope) => boolean,
): Promise<{ readonly memory: M | null; readonly tail: Tail }> => {
  const { partition, offset } = from
  const isUsable = ({ fold }: Place): boolean => fold !== null && fold.nextOffset <= offset
  const place = await placesOf(following as Following, options).load(partition, offset, isUsable)
  const begin = place?.fold ? { fromOffset: place.fold.nextOffset, checkpoint: place.fold } : { fromOffset: 0 }
  const tail = await openTail(following.context, [{ partition, ...begin }], { wants })
  return { memory: (place?.memory ?? null) as M | null, tail }
}

export class Follower {
  readonly partition: number
  readonly #following: Following
  readonly #options: FollowerOptions
  readonly #topic: string
  readonly #places: Places
  readonly #reading: Reading
  readonly #endSweeping: () => Promise<void>
  #reader: EventReader | undefined
  #tail: Tail | undefined
  #problem: string | null = 'starting'
  #passedOver = new Set<string>()
  /** reading can go on from these, should it come to that */
  #folds: AcceptanceCheckpoint[] = []
  #nextOffset = 0
  #doneOffset = 0
  #storedAt = 0
  #storedOffset = 0
  /** everything that was taken in is done; otherwise what is known must not be stored */
  #complete = true
  /** batches and sweeps come one after the other */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(partition: number, following: Following, options: FollowerOptions) {
    const { context } = following
    const { clock, notices } = options
    this.partition = partition
    this.#following = following
    this.#options = options
    this.#topic = eventsTopic(context.topicPrefix, context.definition.name)
    this.#places = placesOf(following, options)
    this.#reading = keepReading({
      clock,
      open: () => this.#open(),
      take: (batch) => this.#inTurn(() => this.#take(batch)),
      onFailure: (error) => {
        this.#problem = error instanceof Error ? error.message : String(error)
        notices.warn({ err: error, topic: this.#topic, partition }, 'a partition is followed anew')
      },
    })
    const { sweepMs } = following
    const sweepFailed = (error: unknown): void => notices.warn({ err: error, partition }, 'looking around failed')
    this.#endSweeping =
      sweepMs === undefined
        ? async () => undefined
        : repeat(clock, sweepMs, () => this.#inTurn(() => this.#sweep()), sweepFailed)
  }

  /** null while it reads, otherwise why not */
  notReady(): string | null {
    return this.#problem && `partition ${this.partition} of ${this.#topic} is not followed: ${this.#problem}`
  }

  get size(): number {
    return this.#reader?.size ?? 0
  }

  /** @param remember whether what it knows is stored for whoever follows next */
  async close(remember: boolean): Promise<void> {
    await Promise.all([this.#reading.close(), this.#endSweeping()])
    if (remember && this.#complete && this.#doneOffset > this.#storedOffset) await this.#store()
  }

  async #open(): Promise<Tail> {
    const { context } = this.#following
    const { partition } = this
    const endOffset = (await context.transport.endOffsets(this.#topic)).get(partition) ?? 0
    const place: Place | null = await this.#places.load(partition, endOffset)
    const fold = place?.fold ?? undefined
    // a place without a fold says what is done, and nothing about what is known
    const reader = this.#following.begin(fold ? place?.memory : null, { partition, endOffset })
    const fromOffset = fold?.nextOffset ?? 0
    this.#passedOver = new Set(fold ? place?.passedOver : [])
    this.#folds = fold ? [fold] : []
    this.#nextOffset = fromOffset
    this.#doneOffset = place?.doneOffset ?? 0
    this.#storedOffset = this.#doneOffset
    this.#storedAt = this.#options.clock.nowMs()
    this.#complete = true
    this.#reader = reader
    this.#tail = await openTail(context, [{ partition, fromOffset, ...(fold && { checkpoint: fold }) }], {
      wants: (envelope) => !this.#passedOver.has(envelope.aggregate) && reader.wants(envelope),
    })
    this.#problem = null
    return this.#tail
  }

  async #take({ events, nextOffset }: TailBatch): Promise<void> {
    const reader = this.#reader
    if (!reader) return
    this.#complete = false
    const work = events.flatMap((event) => this.#observe(reader, event))
    await this.#perform(reader, [...work, ...(reader.batchRead?.(nextOffset) ?? [])])
    this.#complete = true
    this.#nextOffset = nextOffset
    this.#doneOffset = Math.max(this.#doneOffset, nextOffset)
    const { landmarkEvery = Number.POSITIVE_INFINITY } = this.#following
    const isDue = this.#options.clock.nowMs() - this.#storedAt >= storeEveryMs
    if (isDue || this.#doneOffset - this.#storedOffset >= landmarkEvery) await this.#store()
  }

  #observe(reader: EventReader, event: AcceptedEvent): readonly Work[] {
    const { aggregate } = event.envelope
    if (this.#passedOver.has(aggregate)) return []
    try {
      const work = reader.observe(event)
      return event.offset < this.#doneOffset ? [] : work
    } catch (error) {
      this.#passedOver.add(aggregate)
      const fields = { err: error, topic: this.#topic, partition: this.partition, offset: event.offset, aggregate }
      this.#options.notices.error(fields, 'an event cannot be taken in; its aggregate is passed over')
      return []
    }
  }

  /** @throws when the follower is closed before everything is done */
  async #perform(reader: EventReader, work: readonly Work[]): Promise<void> {
    if (work.length === 0) return
    const { clock, notices } = this.#options
    const { signal } = this.#reading
    const queues = [...Map.groupBy(work, ({ aggregate }) => aggregate).values()]
    const performQueues = async (): Promise<void> => {
      for (let queue = queues.shift(); queue; queue = queues.shift()) {
        for (const one of queue) {
          const { aggregate } = one
          const onFailure = (error: unknown): void =>
            notices.warn(
              { err: error, aggregate, follower: this.#following.name },
              'what an event asks for is tried again',
            )
          await retry((attempt) => reader.perform(one, attempt), { clock, signal, onFailure })
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(aggregatesAtOnce, queues.length) }, performQueues))
  }

  async #sweep(): Promise<void> {
    const reader = this.#reader
    if (!reader?.sweep || this.#problem !== null || !this.#complete) return
    const work = await reader.sweep(() => this.#isCurrent())
    if (work.length === 0) return
    this.#complete = false
    await this.#perform(reader, work)
    this.#complete = true
  }

  async #isCurrent(): Promise<boolean> {
    const ends = await this.#following.context.transport.endOffsets(this.#topic)
    return (ends.get(this.partition) ?? 0) <= this.#nextOffset
  }

  async #store(): Promise<void> {
    const memory = this.#reader?.memory()
    if (memory === null || memory === undefined || !this.#tail) return
    this.#storedAt = this.#options.clock.nowMs()
    this.#storedOffset = this.#doneOffset
    this.#folds.push(this.#tail.checkpoint(this.partition))
    const oldest = this.#reader?.rereadFrom?.() ?? Number.POSITIVE_INFINITY
    const usable = this.#folds.findLast(({ nextOffset }) => nextOffset <= oldest)
    this.#folds = this.#folds.filter(({ nextOffset }) => nextOffset >= (usable?.nextOffset ?? 0))
    // the first one is what reading goes on from; of the others the newest are worth most
    if (this.#folds.length > foldsKept) this.#folds.splice(1, this.#folds.length - foldsKept)
    await this.#places.save(this.partition, {
      fold: usable ?? null,
      doneOffset: this.#doneOffset,
      memory,
      passedOver: [...this.#passedOver],
    })
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }
}
