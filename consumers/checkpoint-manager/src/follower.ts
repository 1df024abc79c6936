import { type AcceptedEvent, type LogContext, openTail, type Tail } from '@omium/log'
import type { ObjectStore } from '@omium/payloads'
import { type EventEnvelope, type ExecutionEvent, eventsTopic, OmiumError } from '@omium/schemas'
import { type DueCheckpoint, RunWatch } from './domain/run-watch.ts'
import type { Notices } from './ports.ts'

/**
 * Follows one partition of the execution events and makes the checkpoints that runs ask for.
 *
 * 1. At least once: where it stands is stored after the checkpoints of what came before were handed over; their ids are
 *    those of the events that made them due, so that one made twice is one.
 * 2. What is stored may be lost: then the partition is read from its beginning.
 * 3. While checkpoints cannot be made it waits, and goes on where it stopped. One whose content is lost is left out.
 */
export interface FollowerOptions {
  readonly context: LogContext
  readonly partition: number
  readonly store: Pick<ObjectStore, 'get' | 'put'>
  readonly notices: Notices
  /** stores and announces one checkpoint; called again until it succeeds */
  make(due: DueCheckpoint): Promise<void>
}

/** where a follower goes on */
interface Place {
  readonly format: 1
  /** the first offset to read */
  readonly fromOffset: number
  /** what is due before it was made already */
  readonly doneOffset: number
  /** state of the acceptance fold at `fromOffset`, base64 */
  readonly fold: string | null
}

/** a fold takes megabytes on a busy partition, and what was read since can be read again in a moment */
const saveEveryMs = 10_000
const firstDelayMs = 100
const maxDelayMs = 5_000
const foldsKept = 3
const runsAtOnce = 8
const triesForMissing = 5

export class Follower {
  readonly #options: FollowerOptions
  readonly #watch = new RunWatch()
  readonly #done: Promise<void>
  readonly #ended = new AbortController()
  #tail: Tail | undefined
  /** folds of the past: reading can go on from those before the oldest run that is watched */
  #folds: { nextOffset: number; body: Buffer }[] = []

  constructor(options: FollowerOptions) {
    this.#options = options
    this.#done = this.#run()
  }

  async close(): Promise<void> {
    this.#ended.abort()
    await this.#tail?.close()
    await this.#done
  }

  get #key(): string {
    const { context, partition } = this.#options
    return `followers/checkpoint-manager/${eventsTopic(context.topicPrefix, context.definition.name)}/${partition}`
  }

  async #run(): Promise<void> {
    const { notices, partition } = this.#options
    for (let delayMs = firstDelayMs; !this.#ended.signal.aborted; delayMs = Math.min(maxDelayMs, 2 * delayMs)) {
      try {
        await this.#follow()
        return
      } catch (error) {
        if (this.#ended.signal.aborted) return
        notices.warn({ err: error, partition }, 'following executions starts anew')
        await this.#pause(delayMs)
      }
    }
  }

  async #follow(): Promise<void> {
    const { context, partition } = this.#options
    const place = await this.#load()
    this.#watch.forget()
    const checkpoint =
      place.fold === null ? undefined : { nextOffset: place.fromOffset, body: Buffer.from(place.fold, 'base64') }
    this.#folds = checkpoint ? [checkpoint] : []
    const wants = (envelope: EventEnvelope): boolean => this.#watch.wants(envelope)
    const request = { partition, fromOffset: place.fromOffset, ...(checkpoint && { checkpoint }) }
    const tail = await openTail(context, [request], { wants })
    this.#tail = tail
    let savedAt = context.nowMs()
    try {
      for (let batch = await tail.next(); batch; batch = await tail.next()) {
        const due = batch.events.flatMap((event) => this.#dueAt(event, place.doneOffset))
        this.#watch.settle()
        if (!(await this.#makeAll(due))) return
        if (context.nowMs() - savedAt < saveEveryMs) continue
        this.#folds.push(tail.checkpoint(partition))
        await this.#save(Math.max(batch.nextOffset, place.doneOffset))
        savedAt = context.nowMs()
      }
    } finally {
      this.#tail = undefined
      await tail.close()
    }
  }

  #dueAt({ envelope, type, data, offset }: AcceptedEvent, doneOffset: number): DueCheckpoint[] {
    const due = this.#watch.add({ type, data } as ExecutionEvent, { ...envelope, offset })
    return offset < doneOffset ? [] : due
  }

  /** Those of one run in order, several runs at once. @returns false when the follower ended before everything was made */
  async #makeAll(due: readonly DueCheckpoint[]): Promise<boolean> {
    const runs = [...Map.groupBy(due, ({ tenant, threadId }) => `${tenant}/${threadId}`).values()]
    const makeRuns = async (): Promise<boolean> => {
      for (let run = runs.shift(); run; run = runs.shift()) {
        for (const one of run) if (!(await this.#make(one))) return false
      }
      return true
    }
    const made = await Promise.all(Array.from({ length: runsAtOnce }, makeRuns))
    return !made.includes(false)
  }

  async #make(due: DueCheckpoint): Promise<boolean> {
    const { notices, partition } = this.#options
    const fields = { partition, tenant: due.tenant, thread: due.threadId, checkpoint: due.checkpointId }
    for (let attempt = 1; !this.#ended.signal.aborted; attempt++) {
      try {
        await this.#options.make(due)
        return true
      } catch (error) {
        if (isHopeless(error, attempt)) {
          notices.error({ err: error, ...fields }, 'a checkpoint is left out: what it would hold cannot be read')
          return true
        }
        notices.warn({ err: error, ...fields }, 'a checkpoint could not be made; it is tried again')
        await this.#pause(Math.min(maxDelayMs, firstDelayMs * 2 ** attempt))
      }
    }
    return false
  }

  async #load(): Promise<Place> {
    const nowhere: Place = { format: 1, fromOffset: 0, doneOffset: 0, fold: null }
    try {
      const place = JSON.parse((await this.#options.store.get(this.#key)).toString()) as Place
      return place.format === 1 ? place : nowhere
    } catch (error) {
      this.#options.notices.info(
        { err: error, partition: this.#options.partition },
        'executions are followed from the beginning',
      )
      return nowhere
    }
  }

  async #save(doneOffset: number): Promise<void> {
    const oldest = this.#watch.firstOffset ?? Number.POSITIVE_INFINITY
    const usable = this.#folds.findLast(({ nextOffset }) => nextOffset <= oldest)
    this.#folds = this.#folds.filter((fold) => fold.nextOffset >= (usable?.nextOffset ?? 0))
    // the first one is what reading goes on from, should it come to that; of the others the newest are worth most
    if (this.#folds.length > foldsKept) this.#folds.splice(1, this.#folds.length - foldsKept)
    const place: Place = {
      format: 1,
      fromOffset: usable?.nextOffset ?? 0,
      doneOffset,
      fold: usable ? usable.body.toString('base64') : null,
    }
    await this.#options.store.put(this.#key, Buffer.from(JSON.stringify(place)))
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#ended
      const end = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      signal.addEventListener('abort', end)
    })
  }
}

/** A value that the run recorded is gone or damaged: no waiting helps, and the other runs of the partition wait too. */
const isHopeless = (error: unknown, attempt: number): boolean =>
  error instanceof OmiumError && (!error.retryable || (error.code === 'object_missing' && attempt >= triesForMissing))
