import { z } from 'zod'
import {
  checkpointKind,
  checkpointMetadata,
  checkpointNamespace,
  checkpointRetention,
  pendingWrite,
  pinHolder,
  runPoint,
  stateFormat,
} from '../checkpoint/model.ts'
import { callerId } from '../ids.ts'
import { jsonValue } from '../json.ts'
import { logPosition } from './executions.ts'

/**
 * The HTTP API of checkpoints. `position` is of the checkpoint events topic, and `min_position` of these routes waits for it.
 */

/** Any JSON value, or bytes in base64 under a format that the caller knows. */
export const stateBody = z.union([z.object({ json: jsonValue }), z.object({ format: stateFormat, base64: z.string() })])
export type StateBody = z.infer<typeof stateBody>

export const createCheckpointBody = z.object({
  thread: callerId,
  /** caller-chosen: creating twice with the same id and state gives the same checkpoint */
  id: callerId.refine((id) => id !== 'latest', '"latest" stands for the newest one').optional(),
  namespace: checkpointNamespace.default(''),
  parent: callerId.optional(),
  needsParent: z.boolean().optional(),
  label: z.string().max(500).optional(),
  metadata: checkpointMetadata.optional(),
  state: stateBody,
})

export const checkpointWritesBody = z.object({
  taskId: z.string().max(1024),
  taskPath: z.string().max(4096).default(''),
  writes: z.array(pendingWrite).max(10_000),
  state: stateBody,
})

export const checkpointReceipt = z.object({
  thread: callerId,
  checkpoint: callerId,
  position: logPosition,
  deduplicated: z.boolean(),
})
export type CheckpointReceipt = z.infer<typeof checkpointReceipt>

export const threadReceipt = checkpointReceipt.omit({ checkpoint: true })
export type ThreadReceipt = z.infer<typeof threadReceipt>

export const checkpointStatuses = ['intact', 'corrupted', 'superseded'] as const

export const checkpointView = z.object({
  thread: callerId,
  id: callerId,
  namespace: z.string(),
  parent: callerId.optional(),
  needsParent: z.boolean(),
  kind: checkpointKind,
  /** as of the last time that somebody read it; `superseded`: the thread was rolled back behind it */
  status: z.enum(checkpointStatuses),
  format: stateFormat,
  bytes: z.number().int(),
  sha256: z.string(),
  label: z.string().optional(),
  metadata: checkpointMetadata,
  point: runPoint.optional(),
  pins: z.array(z.string()),
  createdAt: z.iso.datetime(),
  version: z.number().int(),
  position: logPosition,
})
export type CheckpointView = z.infer<typeof checkpointView>

export const checkpointWritesView = z.object({
  taskId: z.string(),
  taskPath: z.string(),
  writes: z.array(pendingWrite),
  state: stateBody,
})

/** With its state, and what tasks wrote on top of it in the order of their writing. */
export const checkpointDetail = checkpointView.extend({
  state: stateBody,
  writes: z.array(checkpointWritesView),
  /** the newest was damaged: this is an older one, given instead */
  insteadOf: callerId.optional(),
})
export type CheckpointDetail = z.infer<typeof checkpointDetail>

export const checkpointVerdict = z.object({
  intact: z.boolean(),
  found: z.enum(['missing', 'damaged']).optional(),
  /** the state could be made again from the log */
  rebuilt: z.boolean(),
})
export type CheckpointVerdict = z.infer<typeof checkpointVerdict>

export const checkpointParams = z.object({ thread: callerId, id: callerId })
export const threadParam = z.object({ thread: callerId })
export const checkpointQuery = z.object({
  namespace: checkpointNamespace.default(''),
})

const filterText = z.string().max(10_000)
export const listCheckpointsQuery = z.object({
  thread: callerId.optional(),
  namespace: checkpointNamespace.optional(),
  id: callerId.optional(),
  kind: checkpointKind.optional(),
  /** a JSON object; each member has to be equal */
  metadata: filterText
    .transform((text, ctx) => {
      try {
        return checkpointMetadata.parse(JSON.parse(text))
      } catch {
        ctx.addIssue({ code: 'custom', message: 'expected a JSON object of plain values' })
        return z.NEVER
      }
    })
    .optional(),
  /** `created`: newest first; `id`: greatest id first, for ids that sort by time */
  order: z.enum(['created', 'id']).default('created'),
  /** with order=id: only smaller ids */
  before: callerId.optional(),
  superseded: z.stringbool().default(true),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(2000).optional(),
})

export const pinBody = z.object({ holder: pinHolder })
export const rollbackBody = z.object({ reason: z.string().max(2000).optional() })
export const deleteCheckpointsBody = z.object({
  checkpoints: z
    .array(z.object({ namespace: checkpointNamespace.default(''), id: callerId }))
    .min(1)
    .max(1000),
})
export const retentionBody = checkpointRetention
export const rollbackReply = z.object({
  thread: callerId,
  checkpoint: callerId,
  /** of the checkpoint events, or of the execution's when a run was rolled back */
  position: logPosition,
  execution: callerId.optional(),
})
