import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { partitionEvents } from '../log/partition-events.ts'
import {
  checkpointKind,
  checkpointMetadata,
  checkpointRef,
  checkpointRetention,
  objectRef,
  pendingWrite,
  pinHolder,
  runPoint,
  stateFormat,
} from './model.ts'

const by = z.string()
const reason = z.string().max(2000).optional()
/** of the run's rolling back: what the run recorded after it is not superseded */
export const beforeVersion = z.number().int().positive().optional()

export const newCheckpoint = checkpointRef.extend({
  parentId: callerId.optional(),
  kind: checkpointKind,
  object: objectRef,
  format: stateFormat,
  /** cannot be understood without its parent, which therefore stays as long as this one does */
  needsParent: z.boolean().optional(),
  label: z.string().max(500).optional(),
  metadata: checkpointMetadata.optional(),
  point: runPoint.optional(),
})

export const newWrites = checkpointRef.extend({
  taskId: z.string().max(1024),
  taskPath: z.string().max(4096),
  writes: z.array(pendingWrite).max(10_000),
  object: objectRef,
  format: stateFormat,
})

/** Events of one thread of checkpoints; the aggregate is `thread:<tenant>/<threadId>`. */
export const checkpointEvents = {
  /** `superseded`: the run was rolled back behind it before it was made */
  CheckpointCreated: v1(newCheckpoint.extend({ superseded: z.boolean().optional() })),
  CheckpointWritesAdded: v1(newWrites),
  CheckpointPinned: v1(checkpointRef.extend({ holder: pinHolder })),
  CheckpointUnpinned: v1(checkpointRef.extend({ holder: pinHolder })),
  /** a read found that the object is gone or is not what was stored; `fallbackId` is the older one that was given instead */
  CheckpointCorrupted: v1(
    checkpointRef.extend({ found: z.enum(['missing', 'damaged']), fallbackId: callerId.optional() }),
  ),
  /** the state was made again from the log of the run */
  CheckpointRebuilt: v1(checkpointRef.extend({ object: objectRef })),
  /** the log cannot give it now; it is tried again with the next finding */
  CheckpointRebuildFailed: v1(checkpointRef.extend({ why: z.string().max(2000) })),
  /** everything newer in the namespace is superseded: it stays, and is not the latest any more */
  ThreadRolledBack: v1(checkpointRef.extend({ by, reason, beforeVersion })),
  CheckpointsDeleted: v1(z.object({ checkpoints: z.array(checkpointRef).min(1), why: z.enum(['asked', 'retention']) })),
  RetentionSet: v1(z.object({ retention: checkpointRetention, by })),
  /** the thread is as if it had never been */
  ThreadDeleted: v1(z.object({ by })),
} as const
export type CheckpointEvent = RecordOf<typeof checkpointEvents>

export const checkpointContextEvents = { ...partitionEvents, ...checkpointEvents } as const
export type CheckpointContextEvent = RecordOf<typeof checkpointContextEvents>
