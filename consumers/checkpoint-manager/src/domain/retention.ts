import type { CheckpointRef } from '@omium/schemas'
import { type Checkpoint, refKey, type ThreadState } from './thread.ts'

/**
 * What a thread may forget.
 *
 * 1. Pinned checkpoints stay, and so does the latest of each namespace, by creation and by id: programs whose ids sort by time
 *    go on from the greatest one, and several of them may have created theirs in another order. Where the latest is damaged,
 *    so does the latest that is not: it is what stands in for it.
 * 2. A checkpoint that another one builds on (`needsParent`) stays as long as that one.
 */

/** Everything that `kept` build on, and themselves. */
const withAncestors = (state: ThreadState, kept: Iterable<Checkpoint>): Set<string> => {
  const keys = new Set<string>()
  for (let checkpoint of kept) {
    for (;;) {
      const key = refKey(checkpoint)
      if (keys.has(key)) break
      keys.add(key)
      const { needsParent, namespace, parentId } = checkpoint
      const parent =
        needsParent && parentId !== null
          ? state.checkpoints.get(refKey({ namespace, checkpointId: parentId }))
          : undefined
      if (!parent) break
      checkpoint = parent
    }
  }
  return keys
}

/** Whether it can be read as far as is known, with everything that it builds on. */
const isWhole = (state: ThreadState, checkpoint: Checkpoint): boolean => {
  const { corrupted, needsParent, namespace, parentId } = checkpoint
  if (corrupted) return false
  if (!needsParent) return true
  const parent = parentId === null ? undefined : state.checkpoints.get(refKey({ namespace, checkpointId: parentId }))
  return parent !== undefined && isWhole(state, parent)
}

/** What readers of the latest get, whichever order they go by, and whether or not it is damaged. */
const latestOf = (state: ThreadState, line: readonly Checkpoint[]): ReadonlySet<Checkpoint | undefined> => {
  const standing = line.filter(({ superseded }) => !superseded)
  const whole = standing.filter((checkpoint) => isWhole(state, checkpoint))
  return new Set(
    [standing, whole].flatMap((some) => [
      some.at(-1),
      some.reduce<Checkpoint | undefined>((a, b) => (a && a.checkpointId > b.checkpointId ? a : b), undefined),
    ]),
  )
}

/** What the thread's retention lets go of, oldest first. */
export const expired = (state: ThreadState, nowMs: number): CheckpointRef[] => {
  const { keepLast = Number.POSITIVE_INFINITY, maxAgeMs = Number.POSITIVE_INFINITY } = state.retention
  if (keepLast === Number.POSITIVE_INFINITY && maxAgeMs === Number.POSITIVE_INFINITY) return []
  const lines = Map.groupBy(state.checkpoints.values(), ({ namespace }) => namespace)
  const kept: Checkpoint[] = []
  for (const line of lines.values()) {
    const latest = latestOf(state, line)
    for (const [index, checkpoint] of line.entries()) {
      const amongLast = line.length - index <= keepLast
      const young = nowMs - checkpoint.createdAt < maxAgeMs
      if ((amongLast && young) || latest.has(checkpoint) || checkpoint.pins.length > 0) kept.push(checkpoint)
    }
  }
  const keys = withAncestors(state, kept)
  return [...state.checkpoints.values()].filter((checkpoint) => !keys.has(refKey(checkpoint))).map(refOf)
}

/** When the next checkpoint gets too old, if one can. */
export const nextExpiry = (state: ThreadState): number | null => {
  const { maxAgeMs } = state.retention
  if (maxAgeMs === undefined) return null
  const [oldest] = state.checkpoints.values()
  return oldest ? oldest.createdAt + maxAgeMs : null
}

/** Who pins one of them, or null. */
export const pinnedAmong = (checkpoints: Iterable<Checkpoint>): string | null => {
  for (const { checkpointId, pins } of checkpoints) {
    const [holder] = pins
    if (holder !== undefined) return `checkpoint ${checkpointId} is pinned by ${holder}`
  }
  return null
}

/** Why these may not be deleted together, or null. */
export const neededFor = (state: ThreadState, refs: readonly CheckpointRef[]): string | null => {
  const going = new Set(refs.map(refKey))
  const present = refs.flatMap((ref) => state.checkpoints.get(refKey(ref)) ?? [])
  const pinned = pinnedAmong(present)
  if (pinned !== null) return pinned
  for (const checkpoint of state.checkpoints.values()) {
    const { needsParent, namespace, parentId, checkpointId } = checkpoint
    if (!needsParent || parentId === null || going.has(refKey(checkpoint))) continue
    if (going.has(refKey({ namespace, checkpointId: parentId }))) {
      return `checkpoint ${checkpointId} builds on ${parentId}`
    }
  }
  return null
}

const refOf = ({ namespace, checkpointId }: Checkpoint): CheckpointRef => ({ namespace, checkpointId })
