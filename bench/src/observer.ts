import { setImmediate } from 'node:timers/promises'
import { openLog } from '@omium/projection-kit'
import { eventsTopic, executionContext } from '@omium/schemas'
import type { BenchStack } from './stack.ts'

export interface OpenRun {
  readonly partition: number
  attempt: number
  workerId: string
}

export interface StepSeen {
  readonly aggregate: string
  readonly partition: number
  readonly attempt: number
  /** when this process read the accepted event, on the clock of `performance.now` */
  readonly at: number
}

/**
 * An outside view of the runs: one tail over the log, so that what it reports is accepted by everyone. It knows which
 * runs are open and who holds them, and which endpoint owns which partition.
 */
export interface Observer {
  /** by aggregate key */
  readonly openRuns: ReadonlyMap<string, OpenRun>
  /** endpoint of the owner, by partition */
  readonly owners: ReadonlyMap<number, string>
  onStep(listener: ((step: StepSeen) => void) | undefined): void
  onClaim(listener: ((partition: number) => void) | undefined): void
  close(): Promise<void>
}

export const observe = async (stack: BenchStack): Promise<Observer> => {
  const log = await openLog(stack.environment, executionContext, 'omium-bench-observer', () => {})
  const { context } = log
  const ends = await context.transport.endOffsets(eventsTopic(context.topicPrefix, executionContext.name))
  // from the beginning: it has to know the present owners
  const tail = await log.openTail(
    context,
    [...ends].map(([partition]) => ({ partition, fromOffset: 0 })),
  )
  const openRuns = new Map<string, OpenRun>()
  const owners = new Map<number, string>()
  let stepListener: ((step: StepSeen) => void) | undefined
  let claimListener: ((partition: number) => void) | undefined
  let closed = false

  const read = async (): Promise<void> => {
    for (;;) {
      const batch = await tail.next()
      if (!batch || closed) return
      const at = performance.now()
      for (const { type, data, envelope, partition } of batch.events) {
        const { aggregate } = envelope
        if (type === 'PartitionClaimed') {
          owners.set(partition, (data as { endpoint?: string }).endpoint ?? '')
          claimListener?.(partition)
        } else if (type === 'ExecutionStarted') {
          const { attempt, workerId } = data as { attempt: number; workerId: string }
          openRuns.set(aggregate, { partition, attempt, workerId })
        } else if (type === 'StepCompleted') {
          stepListener?.({ aggregate, partition, attempt: (data as { attempt: number }).attempt, at })
        } else if (envelope.closes) openRuns.delete(aggregate)
      }
      await setImmediate()
    }
  }
  const reading = read()
  return {
    openRuns,
    owners,
    onStep: (listener) => {
      stepListener = listener
    },
    onClaim: (listener) => {
      claimListener = listener
    },
    close: async () => {
      closed = true
      await tail.close()
      await reading
      await log.close()
    },
  }
}
