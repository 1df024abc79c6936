import { z } from 'zod'
import { stepPath } from '../execution/model.ts'
import { callerId } from '../ids.ts'

/** Where a checkpoint's bytes are. `sha256` is of the bytes as they were given, before any encryption. */
export const objectRef = z.object({
  key: z.string().min(1).max(1024),
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})
export type ObjectRef = z.infer<typeof objectRef>

/** The largest state that one checkpoint holds. */
export const maxCheckpointBytes = 50 * 1024 * 1024

/** The most that may be written on top of one checkpoint, in all: it is read together. */
export const maxWritesBytes = 4 * maxCheckpointBytes

/** `state`: what a program or a framework gave. `run`: the folded journal of a run, which the log can give again. */
export const checkpointKind = z.enum(['state', 'run'])
export type CheckpointKind = z.infer<typeof checkpointKind>

/** Separates lines of checkpoints within a thread, e.g. those of nested graphs; empty is the main line. */
export const checkpointNamespace = z
  .string()
  .max(1024)
  .refine((text) => !text.includes('\0'), 'U+0000 is not allowed')

/** One checkpoint of a thread. */
export const checkpointRef = z.object({ namespace: checkpointNamespace, checkpointId: callerId })
export type CheckpointRef = z.infer<typeof checkpointRef>

/** Small facts that lists show and filter by; the state itself carries everything else. */
export const checkpointMetadata = z
  .record(z.string().max(200), z.union([z.string().max(4000), z.number(), z.boolean(), z.null()]))
  .refine((metadata) => Object.keys(metadata).length <= 500, 'at most 500 members')
export type CheckpointMetadata = z.infer<typeof checkpointMetadata>

/** How the bytes are to be read: `json`, or whatever name the program that wrote them knows. */
export const stateFormat = z.string().min(1).max(100)

/** The moment of a run that a checkpoint shows: everything up to this version of the run; `path` was settled by it. */
export const runPoint = z.object({
  executionId: callerId,
  version: z.number().int().positive(),
  path: stepPath.optional(),
})
export type RunPoint = z.infer<typeof runPoint>

/** What a thread keeps. Pinned checkpoints, the newest of each namespace, and what those build on, always stay. */
export const checkpointRetention = z.object({
  /** of each namespace */
  keepLast: z.number().int().min(1).max(100_000).optional(),
  maxAgeMs: z
    .number()
    .int()
    .min(1)
    .max(3660 * 86_400_000)
    .optional(),
})
export type CheckpointRetention = z.infer<typeof checkpointRetention>

/** Who wants a checkpoint kept, e.g. `audit:2026`. */
export const pinHolder = z.string().min(1).max(200)

/** One value that a task wrote on top of a checkpoint; the values of a task are together in one object. */
export const pendingWrite = z.object({
  /** of equal task and index the first counts, when it is negative the last */
  index: z.number().int(),
  channel: z.string().max(1024),
})
