import { type AcceptedEvent, type LogContext, openTail } from '@omium/log'
import { type EventEnvelope, eventsTopic } from '@omium/schemas'
import type { Notices } from './notices.ts'
import { keepReading, type Reading } from './reading.ts'
import type { Clock } from './timer-queue.ts'

/**
 * A fold of a context's accepted events over all partitions, in a process that may own none of them.
 *
 * 1. Events of one partition are learned in their order, each once, whatever fails in between; nothing is stored, so every process
 *    reads the log from its beginning.
 * 2. {@link current} asks the log how far it is: what was accepted before the question was asked is learned when it is answered.
 */
export interface ContextViewOptions {
  readonly context: LogContext
  readonly clock: Clock
  readonly notices: Notices
  /** whether events are learned */
  readonly wants: (envelope: EventEnvelope) => boolean
  readonly learn: (event: AcceptedEvent) => void
}

interface Waiting {
  readonly ends: ReadonlyMap<number, number>
  readonly resolve: () => void
}

export class ContextView {
  readonly #options: ContextViewOptions
  readonly #topic: string
  readonly #positions = new Map<number, number>()
  #waiting: Waiting[] = []
  #asking: Promise<void> | undefined
  #next: Promise<void> | undefined
  #reading: Reading | undefined

  constructor(options: ContextViewOptions) {
    this.#options = options
    const { topicPrefix, definition } = options.context
    this.#topic = eventsTopic(topicPrefix, definition.name)
  }

  /** Reads from now on, until it is closed. @throws OmiumError `log_unreachable` */
  async open(): Promise<void> {
    const { context, clock, notices, wants, learn } = this.#options
    const partitions = await context.transport.partitionCount(this.#topic)
    for (let partition = 0; partition < partitions; partition++) this.#positions.set(partition, 0)
    this.#reading = keepReading({
      clock,
      open: () =>
        openTail(
          context,
          [...this.#positions].map(([partition, fromOffset]) => ({ partition, fromOffset })),
          { wants },
        ),
      take: async ({ events, partition, nextOffset }) => {
        for (const event of events) learn(event)
        this.#positions.set(partition, nextOffset)
        this.#release()
      },
      onFailure: (err) => notices.warn({ err, topic: this.#topic }, 'a context is read on where it was'),
    })
  }

  /** Whoever still waits goes on with what is known. */
  async close(): Promise<void> {
    await this.#reading?.close()
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  /** Many at once share a question, but never one that was asked before they came. @throws OmiumError `log_unreachable` */
  async current(): Promise<void> {
    if (!this.#asking) {
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined
      })
      return this.#asking
    }
    this.#next ??= this.#asking
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.current()
      })
    return this.#next
  }

  async #ask(): Promise<void> {
    const ends = await this.#options.context.transport.endOffsets(this.#topic)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ ends, resolve })
    this.#release()
    return promise
  }

  #release(): void {
    this.#waiting = this.#waiting.filter(({ ends, resolve }) => {
      const isThere = [...ends].every(([partition, end]) => (this.#positions.get(partition) ?? 0) >= end)
      if (isThere) resolve()
      return !isThere
    })
  }
}
