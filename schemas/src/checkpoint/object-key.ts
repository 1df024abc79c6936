/**
 * Keys of checkpoints' objects: `checkpoints/<tenant>/<thread>/<hour>/<sha256>`.
 *
 * Content-addressed within a thread and an hour. The hour is when the bytes were stored, and it is what makes garbage
 * collection safe without locks: a thread may only begin to refer to an object of the last {@link referWithinMs}, and only
 * objects that are older than a grace period, which is much longer, are ever removed. So "old and not referred to" never
 * changes back, whoever looks, and however long they take between looking and removing.
 */
const hourMs = 3_600_000

/** a thread may begin to refer to an object for so long after it was stored */
export const referWithinMs = 2 * hourMs
/** an object that nothing refers to is removed when it is at least so old */
export const sweepAfterMs = 24 * hourMs

const pattern = /^checkpoints\/([^/]+)\/([^/]+)\/(\d+)\/[0-9a-f]{64}$/

export const checkpointObjectsPrefix = 'checkpoints/'

export const checkpointObjectKey = (tenant: string, threadId: string, sha256: string, nowMs: number): string =>
  `${checkpointObjectsPrefix}${tenant}/${threadId}/${Math.floor(nowMs / hourMs)}/${sha256}`

export interface CheckpointObject {
  readonly tenant: string
  readonly threadId: string
  /** it was stored within the hour that began then, ms since the epoch */
  readonly storedAfterMs: number
}

/** What a key says; undefined when it is none of these. */
export const parseCheckpointObjectKey = (key: string): CheckpointObject | undefined => {
  const [, tenant, threadId, hour] = pattern.exec(key) ?? []
  if (tenant === undefined || threadId === undefined) return undefined
  return { tenant, threadId, storedAfterMs: Number(hour) * hourMs }
}

export const mayBeReferredTo = ({ storedAfterMs }: CheckpointObject, nowMs: number): boolean =>
  nowMs - storedAfterMs <= referWithinMs && storedAfterMs - nowMs <= hourMs

export const mayBeSwept = ({ storedAfterMs }: CheckpointObject, nowMs: number): boolean =>
  nowMs - storedAfterMs >= sweepAfterMs
