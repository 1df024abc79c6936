import { z } from 'zod'
import { type ContextDefinition, type RecordOf, v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { beforeVersion, checkpointContextEvents, newCheckpoint, newWrites } from './events.ts'
import { checkpointRef, checkpointRetention, pinHolder } from './model.ts'

/** Commands to threads of checkpoints; the aggregate is `thread:<tenant>/<threadId>`. A run's own thread has the run's id. */
export const checkpointCommands = {
  /** the object is stored already; equal repetitions change nothing */
  CreateCheckpoint: v1(newCheckpoint),
  /** the checkpoint itself may come later than what was written on top of it */
  AddCheckpointWrites: v1(newWrites),
  PinCheckpoint: v1(checkpointRef.extend({ holder: pinHolder })),
  UnpinCheckpoint: v1(checkpointRef.extend({ holder: pinHolder })),
  ReportCorruption: v1(
    checkpointRef.extend({ found: z.enum(['missing', 'damaged']), fallbackId: callerId.optional() }),
  ),
  RollBackThread: v1(checkpointRef.extend({ reason: z.string().max(2000).optional(), beforeVersion })),
  /** those that are pinned, or that others build on, are refused */
  DeleteCheckpoints: v1(z.object({ checkpoints: z.array(checkpointRef).min(1).max(1000) })),
  SetRetention: v1(z.object({ retention: checkpointRetention })),
  DeleteThread: v1(z.object({})),
} as const
export type CheckpointCommand = RecordOf<typeof checkpointCommands>

export const checkpointContext = {
  name: 'checkpoint',
  commands: checkpointCommands,
  events: checkpointContextEvents,
} as const satisfies ContextDefinition
