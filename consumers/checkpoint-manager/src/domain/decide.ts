import {
  type CheckpointCommand,
  type CheckpointEvent,
  type CheckpointRef,
  type ErrorCode,
  maxWritesBytes,
  mayBeReferredTo,
  type ObjectRef,
  parseCheckpointObjectKey,
} from '@omium/schemas'
import { expired, neededFor, pinnedAmong } from './retention.ts'
import {
  type Checkpoint,
  emptyThread,
  evolve,
  isUndone,
  newerThan,
  referredTo,
  refKey,
  type ThreadState,
} from './thread.ts'

/** One pure function per command to a thread, and what its clock leads to. */

/** What was decided. No events mean: it is so already. */
export type Decision =
  | { readonly status: 'decided'; readonly events: readonly CheckpointEvent[] }
  | { readonly status: 'refused'; readonly code: ErrorCode; readonly detail: string }

type DataOf<T extends CheckpointCommand['type']> = Extract<CheckpointCommand, { type: T }>['data']

const decided = (...events: CheckpointEvent[]): Decision => ({ status: 'decided', events })
const refused = (code: ErrorCode, detail: string): Decision => ({ status: 'refused', code, detail })

export interface Occasion {
  readonly tenant: string
  readonly threadId: string
  readonly nowMs: number
  /** who asks */
  readonly by: string
}

/** Decides any command to a thread; a thread that nobody has heard of is an empty one. */
export const decideCommand = (
  known: ThreadState | undefined,
  command: CheckpointCommand,
  occasion: Occasion,
): Decision => {
  const state = known ?? emptyThread(occasion.tenant, occasion.threadId)
  const { by } = occasion
  switch (command.type) {
    case 'CreateCheckpoint':
      return createCheckpoint(state, command.data, occasion)
    case 'AddCheckpointWrites':
      return addWrites(state, command.data, occasion)
    case 'PinCheckpoint':
      return pin(state, command.data)
    case 'UnpinCheckpoint':
      return unpin(state, command.data)
    case 'ReportCorruption':
      return reportCorruption(state, command.data)
    case 'RollBackThread':
      return rollBack(state, command.data, by)
    case 'DeleteCheckpoints':
      return deleteCheckpoints(state, command.data)
    case 'SetRetention':
      return setRetention(state, command.data, occasion)
    case 'DeleteThread':
      return deleteThread(state, by)
  }
}

/** Why the thread may not begin to refer to the object, or null. See object-key.ts for what this makes safe. */
const unusable = (state: ThreadState, { key }: ObjectRef, { nowMs }: Occasion): Decision | null => {
  const object = parseCheckpointObjectKey(key)
  if (object?.tenant !== state.tenant || object.threadId !== state.threadId) {
    return refused('invalid_request', 'the object belongs to another thread')
  }
  if (mayBeReferredTo(object, nowMs) || referredTo(state).has(key)) return null
  return refused('object_missing', 'the object was stored too long ago and may be gone; store it again')
}

const createCheckpoint = (state: ThreadState, data: DataOf<'CreateCheckpoint'>, occasion: Occasion): Decision => {
  const known = state.checkpoints.get(refKey(data))
  if (known) {
    if (known.object.sha256 === data.object.sha256) return decided()
    return refused('checkpoint_conflict', `checkpoint ${data.checkpointId} exists with another state`)
  }
  const wrong = unusable(state, data.object, occasion) ?? withoutParent(state, data)
  if (wrong) return wrong
  const created: CheckpointEvent = {
    type: 'CheckpointCreated',
    data: isUndone(state, data.point) ? { ...data, superseded: true } : data,
  }
  return decided(created, ...retire(state, created, occasion.nowMs))
}

/** Retention may have let go of the parent while the program worked on what builds on it. */
const withoutParent = (state: ThreadState, data: DataOf<'CreateCheckpoint'>): Decision | null => {
  const { namespace, parentId, needsParent, checkpointId } = data
  if (
    !needsParent ||
    (parentId !== undefined && state.checkpoints.has(refKey({ namespace, checkpointId: parentId })))
  ) {
    return null
  }
  return refused(
    'checkpoint_unknown',
    parentId === undefined
      ? `checkpoint ${checkpointId} builds on a parent and names none`
      : `checkpoint ${checkpointId} builds on ${parentId}, which is not in the thread any more; store a whole state`,
  )
}

/** What goes because of the retention once this has happened. */
const retire = (state: ThreadState, event: CheckpointEvent, nowMs: number): CheckpointEvent[] => {
  if (state.retention.keepLast === undefined && event.type !== 'RetentionSet') return []
  const copy = { ...state, checkpoints: new Map(state.checkpoints), writes: new Map(state.writes) }
  return expire(evolve(copy, event, nowMs) ?? copy, nowMs)
}

/** The clock: what has got too old, or is too much. */
export const expire = (state: ThreadState, nowMs: number): CheckpointEvent[] => {
  const checkpoints = expired(state, nowMs)
  return checkpoints.length === 0 ? [] : [{ type: 'CheckpointsDeleted', data: { checkpoints, why: 'retention' } }]
}

const addWrites = (state: ThreadState, data: DataOf<'AddCheckpointWrites'>, occasion: Occasion): Decision => {
  const { taskId, object } = data
  const batches = state.writes.get(refKey(data)) ?? []
  if (batches.some((batch) => batch.taskId === taskId && batch.object.sha256 === object.sha256)) return decided()
  const bytes = batches.reduce((sum, batch) => sum + batch.object.bytes, object.bytes)
  if (bytes > maxWritesBytes) {
    const detail = `${bytes} bytes would be written on top of checkpoint ${data.checkpointId}, ${maxWritesBytes} are allowed`
    return refused('payload_too_large', detail)
  }
  return unusable(state, object, occasion) ?? decided({ type: 'CheckpointWritesAdded', data })
}

const withCheckpoint = (
  state: ThreadState,
  ref: CheckpointRef,
  then: (checkpoint: Checkpoint) => Decision,
): Decision => {
  const checkpoint = state.checkpoints.get(refKey(ref))
  return checkpoint ? then(checkpoint) : refused('checkpoint_unknown', `there is no checkpoint ${ref.checkpointId}`)
}

const pin = (state: ThreadState, data: DataOf<'PinCheckpoint'>): Decision =>
  withCheckpoint(state, data, ({ pins }) =>
    pins.includes(data.holder) ? decided() : decided({ type: 'CheckpointPinned', data }),
  )

const unpin = (state: ThreadState, data: DataOf<'UnpinCheckpoint'>): Decision =>
  withCheckpoint(state, data, ({ pins }) =>
    pins.includes(data.holder) ? decided({ type: 'CheckpointUnpinned', data }) : decided(),
  )

const reportCorruption = (state: ThreadState, data: DataOf<'ReportCorruption'>): Decision =>
  withCheckpoint(state, data, ({ corrupted, kind }) =>
    // told again, it is tried again to make a run's checkpoint from the log
    corrupted && kind === 'state' ? decided() : decided({ type: 'CheckpointCorrupted', data }),
  )

const rollBack = (state: ThreadState, data: DataOf<'RollBackThread'>, by: string): Decision =>
  withCheckpoint(state, data, ({ superseded, checkpointId }) => {
    if (superseded) {
      return refused(
        'invalid_request',
        `checkpoint ${checkpointId} is superseded: the thread was rolled back behind it`,
      )
    }
    // a run's roll back is recorded all the same: what is still to come from before it has to be known
    return newerThan(state, data).length === 0 && data.beforeVersion === undefined
      ? decided()
      : decided({ type: 'ThreadRolledBack', data: { ...data, by } })
  })

const deleteCheckpoints = (state: ThreadState, { checkpoints }: DataOf<'DeleteCheckpoints'>): Decision => {
  const present = checkpoints.filter((ref) => state.checkpoints.has(refKey(ref)) || state.writes.has(refKey(ref)))
  if (present.length === 0) return decided()
  const needed = neededFor(state, present)
  if (needed !== null) return refused('checkpoint_needed', needed)
  return decided({ type: 'CheckpointsDeleted', data: { checkpoints: present, why: 'asked' } })
}

const deleteThread = (state: ThreadState, by: string): Decision => {
  if (state.checkpoints.size === 0 && state.writes.size === 0) return decided()
  const needed = pinnedAmong(state.checkpoints.values())
  return needed === null ? decided({ type: 'ThreadDeleted', data: { by } }) : refused('checkpoint_needed', needed)
}

const setRetention = (state: ThreadState, { retention }: DataOf<'SetRetention'>, { by, nowMs }: Occasion): Decision => {
  const { keepLast, maxAgeMs } = state.retention
  if (keepLast === retention.keepLast && maxAgeMs === retention.maxAgeMs) return decided()
  const set: CheckpointEvent = { type: 'RetentionSet', data: { retention, by } }
  return decided(set, ...retire(state, set, nowMs))
}
