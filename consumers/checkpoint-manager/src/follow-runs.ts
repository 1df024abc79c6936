import type { EventReader, Following, Notices, Work } from '@omium/kit'
import type { LogContext } from '@omium/log'
import { type ExecutionEvent, OmiumError } from '@omium/schemas'
import { type DueCheckpoint, RunWatch } from './domain/run-watch.ts'

/**
 * Follows the executions and makes the checkpoints that runs ask for.
 *
 * 1. Their ids are those of the events that made them due, so that one made twice is one.
 * 2. What runs have recorded is not remembered: it is read again, from the first event of the oldest run that is watched.
 * 3. While checkpoints cannot be made following waits. One whose content is lost is left out.
 */
export interface FollowRunsPort {
  readonly executions: LogContext
  readonly notices: Notices
  /** stores and announces one checkpoint; called again until it succeeds */
  make(due: DueCheckpoint): Promise<void>
}

interface Due extends Work {
  readonly checkpoint: DueCheckpoint
}

const triesForMissing = 5

export const followRuns = ({ executions, notices, make }: FollowRunsPort): Following<object, Due> => ({
  context: executions,
  name: 'checkpoints',
  version: 1,
  begin: (): EventReader<object, Due> => {
    const watch = new RunWatch()
    return {
      wants: (envelope) => watch.wants(envelope),
      observe({ envelope, type, data, offset }) {
        const due = watch.add({ type, data } as ExecutionEvent, { ...envelope, offset })
        return due.map((checkpoint) => ({ aggregate: envelope.aggregate, checkpoint }))
      },
      batchRead() {
        watch.settle()
        return []
      },
      async perform({ checkpoint }, attempt) {
        try {
          await make(checkpoint)
        } catch (error) {
          if (!isHopeless(error, attempt)) throw error
          const { tenant, threadId, checkpointId } = checkpoint
          const fields = { err: error, tenant, thread: threadId, checkpoint: checkpointId }
          notices.error(fields, 'a checkpoint is left out: what it would hold cannot be read')
        }
      },
      memory: () => ({}),
      rereadFrom: () => watch.firstOffset,
    }
  },
})

/** A value that the run recorded is gone or damaged: no waiting helps, and the other runs of the partition wait too. */
const isHopeless = (error: unknown, attempt: number): boolean =>
  error instanceof OmiumError && (!error.retryable || (error.code === 'object_missing' && attempt >= triesForMissing))
