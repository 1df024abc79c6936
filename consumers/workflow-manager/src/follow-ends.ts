import type { AcceptedEvent, LogContext, OpenTail } from '@omium/log'
import {
  type EventEnvelope,
  type ExecutionEvent,
  eventsTopic,
  type JsonValue,
  parseAggregateKey,
  type RunEnd,
  workflowOfRun,
} from '@omium/schemas'
import { keepFollowing, type Link } from './keep-following.ts'
import type { FollowEnds, Notices, Progress, SeenEnd } from './ports.ts'

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
  (own, onEnd) =>
    keepFollowing((link) => follow(options, own, onEnd, link), {
      retryDelayMs,
      onRetry: (err) => options.notices.warn({ err, partition: own }, 'following the ends of runs starts anew'),
    })

const follow = async (
  { context, openTail, progress, partitions, nowMs }: FollowEndsOptions,
  ours: number,
  onEnd: (end: SeenEnd) => Promise<void>,
  link: Link,
): Promise<void> => {
  const ends = await context.transport.endOffsets(eventsTopic(context.topicPrefix, context.definition.name))
  const own = [...ends.keys()].filter((partition) => partition % partitions === ours)
  if (own.length === 0) return link.untilClosed()
  const requests = await Promise.all(
    own.map(async (partition) => {
      const checkpoint = await progress.load(partition)
      return { partition, fromOffset: checkpoint?.nextOffset ?? 0, ...(checkpoint && { checkpoint }) }
    }),
  )
  if (link.closed) return
  const tail = await openTail(context, requests, { wants })
  link.hold(tail)
  if (link.closed) return
  const stored = new Map<number, number>()
  for (let batch = await tail.next(); batch && !link.closed; batch = await tail.next()) {
    for (const event of batch.events) {
      const seen = wants(event.envelope) ? seenOf(event) : undefined
      if (seen) await onEnd(seen)
    }
    const { partition } = batch
    if (nowMs() - (stored.get(partition) ?? 0) < storeEveryMs) continue
    stored.set(partition, nowMs())
    await progress.save(partition, tail.checkpoint(partition))
  }
  if (!link.closed) throw new Error('the tail ended')
}
