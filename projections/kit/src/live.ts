import type { AcceptanceCheckpoint, AcceptedEvent, LogContext, OpenTail, RejectionReason, TailBatch } from '@omium/log'
import { type ErrorCode, type EventEnvelope, eventsTopic, OmiumError } from '@omium/schemas'

/**
 * The live end of the log, for this process: one tail over all partitions of the events topic.
 *
 * 1. Acceptance is exact: the fold starts from a stored checkpoint and runs silently to the end (or to `from`), so that what is
 *    shown to subscribers is what every other reader accepts.
 * 2. Dispatch is by envelope: command id to the request that waits for its outcome, aggregate to its subscribers. What
 *    nobody here waits for is not even decoded.
 * 3. After an error reading goes on from the offset after the last batch: subscribers miss nothing, they only wait.
 * 4. Nobody waits without a bound, and a subscriber must take what it is given at once or buffer it itself.
 */

type Outcome =
  | { readonly status: 'accepted'; readonly position: Position; readonly deduplicated: boolean }
  | { readonly status: 'rejected'; readonly code: ErrorCode; readonly detail: string; readonly position: Position }

export interface Position {
  readonly partition: number
  readonly offset: number
}

interface OutcomeWait {
  /** rejects with OmiumError `timeout` when no outcome was seen in time */
  readonly outcome: Promise<Outcome>
  cancel(): void
}

export interface Live {
  /** register before sending the command */
  awaitOutcome(commandId: string, timeoutMs: number): OutcomeWait
  /** events of one aggregate from now on; returns the way to stop */
  subscribe(aggregate: string, onEvent: (event: AcceptedEvent) => void): () => void
  /** events of all of a tenant's executions from now on; returns the way to stop */
  subscribeTenant(tenant: string, onEvent: (event: AcceptedEvent) => void): () => void
  /** every event of one type, for caches */
  onType(type: string, onEvent: (event: AcceptedEvent) => void): void
  readonly partitionCount: number
  /** the offset after the last record that was dispatched */
  nextOffset(partition: number): number
  /** Whether everything that is on the log by now is dispatched in time; false also when nobody can say. */
  reachesEnd(timeoutMs: number): Promise<boolean>
  readonly counters: {
    readonly waiting: number
    readonly subscriptions: number
    readonly events: number
    /** records that the fold refused, by reason */
    readonly rejected: ReadonlyMap<RejectionReason, number>
  }
  /** null while reading, otherwise why not */
  notReady(): string | null
  close(): Promise<void>
}

export interface LiveOptions {
  readonly context: LogContext
  readonly openTail: OpenTail
  /** newest stored checkpoints of the acceptance fold, by partition */
  readonly checkpoints: () => Promise<ReadonlyMap<number, AcceptanceCheckpoint>>
  /** called before anything is dispatched */
  readonly begin?: (live: Live) => void
  /** from where on to dispatch, where that is before the end of the log */
  readonly from?: (partition: number) => number
  readonly onNotice: (message: string, error: unknown) => void
}

type Settle = (outcome: Outcome) => void
type Subscribers = Map<string, Set<(event: AcceptedEvent) => void>>

const retryDelayMs = 500
const mostWaiters = 50_000

export const openLive = async (options: LiveOptions): Promise<Live> => {
  const live = new LiveTail(options)
  await live.start()
  return live
}

class LiveTail implements Live {
  readonly #options: LiveOptions
  /** by command id; a repetition of a request waits beside the request that it repeats */
  readonly #waiters = new Map<string, Set<Settle>>()
  readonly #subscribers: Subscribers = new Map()
  readonly #tenants: Subscribers = new Map()
  readonly #rejected = new Map<RejectionReason, number>()
  readonly #byType = new Map<string, ((event: AcceptedEvent) => void)[]>()
  readonly #positions = new Map<number, number>()
  /** of those who wait for the end, told after each batch */
  readonly #endWaits = new Set<() => void>()
  #tail: Awaited<ReturnType<OpenTail>> | undefined
  #problem: string | null = 'starting'
  #events = 0
  #closed = false
  #loop: Promise<void> = Promise.resolve()
  #retry: { timer: NodeJS.Timeout; wake: () => void } | undefined

  constructor(options: LiveOptions) {
    this.#options = options
  }

  get counters() {
    return {
      waiting: this.#waiters.size,
      subscriptions: this.#subscribers.size + this.#tenants.size,
      events: this.#events,
      rejected: this.#rejected,
    }
  }

  get partitionCount(): number {
    return this.#positions.size
  }

  notReady(): string | null {
    return this.#problem
  }

  nextOffset(partition: number): number {
    return this.#positions.get(partition) ?? 0
  }

  async start(): Promise<void> {
    const { context } = this.#options
    const ends = await context.transport.endOffsets(eventsTopic(context.topicPrefix, context.definition.name))
    const { begin, from = () => Number.POSITIVE_INFINITY } = this.#options
    for (const [partition, end] of ends) this.#positions.set(partition, Math.min(end, from(partition)))
    await this.#open()
    begin?.(this)
    this.#loop = this.#run()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#problem = 'closing'
    if (this.#retry) {
      clearTimeout(this.#retry.timer)
      this.#retry.wake()
    }
    await this.#tail?.close()
    await this.#loop
  }

  async reachesEnd(timeoutMs: number): Promise<boolean> {
    const { context } = this.#options
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), timeoutMs)
    let ends: readonly (readonly [number, number])[] | undefined
    const check = () => {
      if (ends?.every(([partition, end]) => this.nextOffset(partition) >= end)) resolve(true)
    }
    this.#endWaits.add(check)
    context.transport.endOffsets(eventsTopic(context.topicPrefix, context.definition.name)).then(
      (found) => {
        ends = [...found]
        check()
      },
      () => resolve(false),
    )
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#endWaits.delete(check)
    }
  }

  awaitOutcome(commandId: string, timeoutMs: number): OutcomeWait {
    if (this.#waiters.size >= mostWaiters) {
      throw new OmiumError('unavailable', 'too many requests wait for their outcome; try again shortly')
    }
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
    const waiters = this.#waiters.get(commandId) ?? new Set()
    const settle: Settle = (outcome) => {
      forget()
      resolve(outcome)
    }
    const forget = () => {
      clearTimeout(timer)
      waiters.delete(settle)
      if (waiters.size === 0 && this.#waiters.get(commandId) === waiters) this.#waiters.delete(commandId)
    }
    const timer = setTimeout(() => {
      forget()
      reject(
        new OmiumError(
          'timeout',
          `no outcome of ${commandId} was recorded within ${timeoutMs} ms; it may still be: ask again`,
        ),
      )
    }, timeoutMs)
    this.#waiters.set(commandId, waiters.add(settle))
    promise.catch(() => undefined)
    return { outcome: promise, cancel: forget }
  }

  subscribe(aggregate: string, onEvent: (event: AcceptedEvent) => void): () => void {
    return subscribeTo(this.#subscribers, aggregate, onEvent)
  }

  subscribeTenant(tenant: string, onEvent: (event: AcceptedEvent) => void): () => void {
    return subscribeTo(this.#tenants, tenant, onEvent)
  }

  onType(type: string, onEvent: (event: AcceptedEvent) => void): void {
    const listeners = this.#byType.get(type) ?? []
    listeners.push(onEvent)
    this.#byType.set(type, listeners)
  }

  async #open(): Promise<void> {
    const stored = await this.#options.checkpoints()
    this.#tail = await this.#options.openTail(
      this.#options.context,
      [...this.#positions].map(([partition, fromOffset]) => {
        const checkpoint = stored.get(partition)
        return { partition, fromOffset, ...(checkpoint && checkpoint.nextOffset <= fromOffset && { checkpoint }) }
      }),
      { wants: (envelope) => this.#wants(envelope) },
    )
    this.#problem = null
  }

  #wants({ commandId, type, aggregate, tenant }: EventEnvelope): boolean {
    return (
      (commandId !== undefined && this.#waiters.has(commandId)) ||
      this.#subscribers.has(aggregate) ||
      this.#tenants.has(tenant) ||
      this.#byType.has(type)
    )
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        if (!this.#tail) await this.#open()
        const batch = await this.#tail?.next()
        if (batch) this.#dispatch(batch)
        else if (!this.#closed) throw new Error('the tail ended')
      } catch (error) {
        if (this.#closed) return
        this.#problem = error instanceof Error ? error.message : String(error)
        this.#options.onNotice('the live tail starts anew', error)
        await this.#tail?.close().catch(() => undefined)
        this.#tail = undefined
        await new Promise<void>((wake) => {
          this.#retry = { timer: setTimeout(wake, retryDelayMs), wake }
        })
      }
    }
  }

  #dispatch(batch: TailBatch): void {
    const decided = new Map<Set<Settle>, Outcome>()
    for (const event of batch.events) {
      this.#events++
      const { envelope, type } = event
      const waiters = envelope.commandId === undefined ? undefined : this.#waiters.get(envelope.commandId)
      // a command may cause several events: its position is the last one's; what a repetition hears comes after its outcome
      if (waiters && !(type === 'CommandDeduplicated' && decided.has(waiters))) decided.set(waiters, outcomeOf(event))
      for (const listener of this.#byType.get(type) ?? []) listener(event)
      if (envelope.version === 0) continue
      for (const onEvent of this.#subscribers.get(envelope.aggregate) ?? []) onEvent(event)
      if (envelope.aggregate.startsWith('execution:'))
        for (const onEvent of this.#tenants.get(envelope.tenant) ?? []) onEvent(event)
    }
    for (const { reason } of batch.rejected) this.#rejected.set(reason, (this.#rejected.get(reason) ?? 0) + 1)
    this.#positions.set(batch.partition, batch.nextOffset)
    for (const check of this.#endWaits) check()
    for (const [waiters, outcome] of decided) for (const settle of [...waiters]) settle(outcome)
  }
}

const subscribeTo = (all: Subscribers, key: string, onEvent: (event: AcceptedEvent) => void): (() => void) => {
  const subscribers = all.get(key) ?? new Set()
  all.set(key, subscribers.add(onEvent))
  return () => {
    subscribers.delete(onEvent)
    if (subscribers.size === 0 && all.get(key) === subscribers) all.delete(key)
  }
}

const outcomeOf = ({ type, data, partition, offset }: AcceptedEvent): Outcome => {
  const position = { partition, offset }
  if (type === 'CommandRejected')
    return { status: 'rejected', ...(data as { code: ErrorCode; detail: string }), position }
  if (type === 'CommandDeduplicated') {
    const { outcome } = data as { outcome: 'accepted' | { code: ErrorCode; detail: string } }
    return outcome === 'accepted'
      ? { status: 'accepted', position, deduplicated: true }
      : { status: 'rejected', ...outcome, position }
  }
  return { status: 'accepted', position, deduplicated: false }
}
