import type {
  CheckpointEvent,
  CheckpointKind,
  CheckpointRef,
  CheckpointRetention,
  ObjectRef,
  RunPoint,
} from '@omium/schemas'

/**
 * A thread of checkpoints as the fold of its events.
 *
 * 1. A checkpoint never changes, but for where its bytes are after they were made again.
 * 2. Objects that a checkpoint or a pending write refers to are in {@link referredTo}; nothing else is needed by anyone.
 * 3. Checkpoints are in the order of their creation, so the last one that is not superseded is the latest of its namespace.
 */
export interface Checkpoint {
  readonly namespace: string
  readonly checkpointId: string
  readonly parentId: string | null
  readonly kind: CheckpointKind
  readonly object: ObjectRef
  readonly needsParent: boolean
  readonly point: RunPoint | null
  /** ms since the epoch */
  readonly createdAt: number
  readonly pins: readonly string[]
  readonly corrupted: boolean
  /** the thread was rolled back behind it */
  readonly superseded: boolean
}

export interface WriteBatch {
  readonly taskId: string
  readonly object: ObjectRef
}

export interface ThreadState {
  readonly tenant: string
  readonly threadId: string
  /** by {@link refKey}, oldest first */
  readonly checkpoints: Map<string, Checkpoint>
  /** pending writes by the {@link refKey} of their checkpoint, which may not be there yet */
  readonly writes: Map<string, readonly WriteBatch[]>
  retention: CheckpointRetention
  /** versions of the run, exclusive at both ends, that its roll backs have undone */
  readonly undone: { readonly after: number; readonly before: number }[]
}

/** ids hold no `/` */
export const refKey = ({ namespace, checkpointId }: CheckpointRef): string => `${checkpointId}/${namespace}`

export const emptyThread = (tenant: string, threadId: string): ThreadState => ({
  tenant,
  threadId,
  checkpoints: new Map(),
  writes: new Map(),
  retention: {},
  undone: [],
})

/** Changes the state; gives undefined when the thread is gone. @param time of the event, ms since the epoch */
export const evolve = (state: ThreadState, event: CheckpointEvent, time: number): ThreadState | undefined => {
  switch (event.type) {
    case 'CheckpointCreated': {
      const { namespace, checkpointId, parentId = null, kind, object, needsParent = false, point = null } = event.data
      const fresh = { pins: [], corrupted: false, superseded: event.data.superseded ?? false, createdAt: time }
      const created = { namespace, checkpointId, parentId, kind, object, needsParent, point, ...fresh }
      state.checkpoints.set(refKey(event.data), created)
      return state
    }
    case 'CheckpointWritesAdded': {
      const { taskId, object } = event.data
      const key = refKey(event.data)
      state.writes.set(key, [...(state.writes.get(key) ?? []), { taskId, object }])
      return state
    }
    case 'CheckpointPinned':
      return change(state, event.data, ({ pins }) => ({ pins: [...pins, event.data.holder] }))
    case 'CheckpointUnpinned':
      return change(state, event.data, ({ pins }) => ({ pins: pins.filter((holder) => holder !== event.data.holder) }))
    case 'CheckpointCorrupted':
      return change(state, event.data, () => ({ corrupted: true }))
    case 'CheckpointRebuilt':
      return change(state, event.data, () => ({ corrupted: false, object: event.data.object }))
    case 'CheckpointRebuildFailed':
      return state
    case 'ThreadRolledBack':
      for (const newer of newerThan(state, event.data)) change(state, newer, () => ({ superseded: true }))
      if (event.data.beforeVersion !== undefined) {
        const after = state.checkpoints.get(refKey(event.data))?.point?.version ?? 0
        state.undone.push({ after, before: event.data.beforeVersion })
      }
      return state
    case 'CheckpointsDeleted':
      for (const ref of event.data.checkpoints) {
        state.checkpoints.delete(refKey(ref))
        state.writes.delete(refKey(ref))
      }
      return state
    case 'RetentionSet':
      state.retention = event.data.retention
      return state
    case 'ThreadDeleted':
      return undefined
  }
}

const change = (
  state: ThreadState,
  ref: CheckpointRef,
  how: (checkpoint: Checkpoint) => Partial<Checkpoint>,
): ThreadState => {
  const key = refKey(ref)
  const checkpoint = state.checkpoints.get(key)
  if (checkpoint) state.checkpoints.set(key, { ...checkpoint, ...how(checkpoint) })
  return state
}

/**
 * Those of the same namespace that were created after it and are not superseded yet. With `beforeVersion` those of later
 * moments of the run are left out: the run has gone on already.
 */
export const newerThan = (
  state: ThreadState,
  ref: CheckpointRef & { readonly beforeVersion?: number | undefined },
): Checkpoint[] => {
  const { beforeVersion = Number.POSITIVE_INFINITY } = ref
  const newer: Checkpoint[] = []
  let passed = false
  for (const [key, checkpoint] of state.checkpoints) {
    const undone = (checkpoint.point?.version ?? 0) < beforeVersion
    if (passed && undone && checkpoint.namespace === ref.namespace && !checkpoint.superseded) newer.push(checkpoint)
    if (key === refKey(ref)) passed = true
  }
  return newer
}

/** Whether the run has undone this moment of it. */
export const isUndone = (state: ThreadState, point: RunPoint | undefined): boolean =>
  point !== undefined && state.undone.some(({ after, before }) => after < point.version && point.version < before)

/** Keys of all objects that the thread needs. */
export const referredTo = (state: ThreadState): Set<string> => {
  const keys = new Set<string>()
  for (const { object } of state.checkpoints.values()) keys.add(object.key)
  for (const batches of state.writes.values()) for (const { object } of batches) keys.add(object.key)
  return keys
}

export interface EncodedThread extends Omit<ThreadState, 'checkpoints' | 'writes'> {
  readonly checkpoints: readonly (readonly [string, Checkpoint])[]
  readonly writes: readonly (readonly [string, readonly WriteBatch[]])[]
}

/** Plain JSON of a thread, and back. */
export const encodeThread = (state: ThreadState): EncodedThread => ({
  ...state,
  checkpoints: [...state.checkpoints],
  writes: [...state.writes],
})
export const decodeThread = (encoded: EncodedThread): ThreadState => ({
  ...encoded,
  checkpoints: new Map(encoded.checkpoints),
  writes: new Map(encoded.writes),
})
