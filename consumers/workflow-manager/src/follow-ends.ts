import type { AcceptedEvent, LogContext, OpenTail, Tail } from '@omium/log'
import {
  type EventEnvelope,
  type ExecutionEvent,
  eventsTopic,
  type JsonValue,
  parseAggregateKey,
  type RunEnd,
  workflowOfRun,
} from '@omium/schemas'
import type { FollowEnds, Following, Notices, Progress, SeenEnd } from './ports.ts'

/**
 * Follows the log of executions for the ends of workflows' runs, which their ids tell apart.
 *
 * 1. Partition p of workflows follows the partitions of executions that are p modulo the count, so each is followed once.
 * 2. Progress is stored after what it covers was handed on: after a kill some ends are handed on again, none is lost. Ends
 *    become commands with ids made from the run, and count once.
 */
const terminal = new Set(['ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled'])
const startPrefix = 'cmd_wfstart_'
const storeEveryMs = 5_000
const retryDelayMs = 500

export interface FollowEndsOptions {
  readonly context: LogContext
  readonly openTail: OpenTail
  readonly progress: Progress
  /** partitions of the workflow context */
  readonly partitions: number
  readonly notices: Notices
  readonly nowMs: () => number
}

const isRun = (aggregate: string): boolean => {
  const key = parseAggregateKey(aggregate)
  return key?.type === 'execution' && workflowOfRun(key.id) !== undefined
}

const wants = ({ type, aggregate, commandId }: EventEnvelope): boolean =>
  (terminal.has(type) || (type === 'CommandRejected' && (commandId?.startsWith(startPrefix) ?? false))) &&
  isRun(aggregate)

const endOf = (event: AcceptedEvent): { end: RunEnd; output?: JsonValue } => {
  if (event.type === 'CommandRejected') {
    const { code, detail } = event.data as { code: string; detail: string }
    return { end: { status: 'refused', code, detail: detail.slice(0, 8192) } }
  }
  const { type, data } = { type: event.type, data: event.data } as ExecutionEvent
  if (type === 'ExecutionCompleted') return { end: { status: 'completed' }, output: data.output as JsonValue }
  if (type === 'ExecutionFailed') {
    const { code, detail } = data.error
    return { end: { status: 'failed', code, detail } }
  }
  const { reason } = data as { reason?: string }
  return { end: { status: 'cancelled', ...(reason !== undefined && { detail: reason }) } }
}

const seenOf = (event: AcceptedEvent): SeenEnd | undefined => {
  const { aggregate, tenant, correlationId } = event.envelope
  const runId = parseAggregateKey(aggregate)?.id ?? ''
  const workflow = workflowOfRun(runId)
  return workflow
    ? { tenant, workflow, runId, correlationId, data: { runId, ...endOf(event) } as JsonValue }
    : undefined
}

export const createFollowEnds =
  (options: FollowEndsOptions): FollowEnds =>
  (partition, onEnd) => {
    const follower = new Follower(options, partition, onEnd)
    follower.start()
    return follower
  }

class Follower implements Following {
  readonly #options: FollowEndsOptions
  readonly #partition: number
  readonly #onEnd: (end: SeenEnd) => Promise<void>
  #tail: Tail | undefined
  #closed = false
  #wake: (() => void) | undefined
  #loop: Promise<void> = Promise.resolve()

  constructor(options: FollowEndsOptions, partition: number, onEnd: (end: SeenEnd) => Promise<void>) {
    this.#options = options
    this.#partition = partition
    this.#onEnd = onEnd
  }

  start(): void {
    this.#loop = this.#run()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wake?.()
    await this.#tail?.close()
    await this.#loop
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#follow()
      } catch (err) {
        if (this.#closed) return
        this.#options.notices.warn({ err, partition: this.#partition }, 'following the ends of runs starts anew')
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, retryDelayMs)
          this.#wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      } finally {
        await this.#tail?.close().catch(() => undefined)
        this.#tail = undefined
      }
    }
  }

  async #follow(): Promise<void> {
    const { context, openTail, progress, partitions, nowMs } = this.#options
    const ends = await context.transport.endOffsets(eventsTopic(context.topicPrefix, context.definition.name))
    const own = [...ends.keys()].filter((partition) => partition % partitions === this.#partition)
    if (own.length === 0) return this.#untilClosed()
    const requests = await Promise.all(
      own.map(async (partition) => {
        const checkpoint = await progress.load(partition)
        return { partition, fromOffset: checkpoint?.nextOffset ?? 0, ...(checkpoint && { checkpoint }) }
      }),
    )
    if (this.#closed) return
    const tail = await openTail(context, requests, { wants })
    this.#tail = tail
    if (this.#closed) return
    const stored = new Map<number, number>()
    for (let batch = await tail.next(); batch && !this.#closed; batch = await tail.next()) {
      for (const event of batch.events) {
        const seen = wants(event.envelope) ? seenOf(event) : undefined
        if (seen) await this.#onEnd(seen)
      }
      const { partition } = batch
      if (nowMs() - (stored.get(partition) ?? 0) < storeEveryMs) continue
      stored.set(partition, nowMs())
      await progress.save(partition, tail.checkpoint(partition))
    }
    if (!this.#closed) throw new Error('the tail ended')
  }

  #untilClosed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
      if (this.#closed) resolve()
    })
  }
}
