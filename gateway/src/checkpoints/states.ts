import {
  buildsOnDamage,
  type CheckpointRecord,
  getCheckpoint,
  listCheckpoints,
  listWrites,
} from '@omium/projection-checkpoints'
import {
  aggregateKey,
  type CheckpointDetail,
  type CheckpointRef,
  type CheckpointVerdict,
  type CheckpointView,
  type JsonValue,
  maxCheckpointBytes,
  type ObjectRef,
  OmiumError,
  type StateBody,
} from '@omium/schemas'
import type { Asker } from '../commands.ts'
import type { Services } from '../services.ts'

/**
 * States of checkpoints, verified on every read.
 *
 * 1. What is not exactly what was stored is never given to anybody; the finding is recorded.
 * 2. A checkpoint of a run is made again from the log while the reader waits. In place of any other, whoever asks for the
 *    latest gets the newest older one that is intact, and is told so; whoever asks for it by id gets an error that names it.
 */
const rebuildWaitMs = 15_000
const fallbacksTried = 50

type Found = 'missing' | 'damaged'
type Parts = Pick<Services, 'checkpoints' | 'checkpointObjects' | 'reads' | 'ids'>

const foundOf = (error: unknown): Found | null => {
  if (!(error instanceof OmiumError)) return null
  if (error.code === 'object_missing') return 'missing'
  return error.code === 'object_corrupt' ? 'damaged' : null
}

/** Bytes of a state that came over HTTP. @throws OmiumError `invalid_request`, `payload_too_large` */
export const bytesOf = (state: StateBody): { format: string; body: Buffer } => {
  if ('json' in state) return limited('json', Buffer.from(JSON.stringify(state.json)))
  const { format, base64 } = state
  if (format === 'json') throw new OmiumError('invalid_request', 'state: give JSON as `json`, not in base64')
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) {
    throw new OmiumError('invalid_request', 'state.base64: not base64')
  }
  return limited(format, Buffer.from(base64, 'base64'))
}

const limited = (format: string, body: Buffer) => {
  if (body.length <= maxCheckpointBytes) return { format, body }
  throw new OmiumError('payload_too_large', `the state has ${body.length} bytes, ${maxCheckpointBytes} are allowed`)
}

const stateOf = (format: string, body: Buffer): StateBody =>
  format === 'json'
    ? { json: JSON.parse(body.toString('utf8')) as JsonValue }
    : { format, base64: body.toString('base64') }

export const checkpointViewOf = (record: CheckpointRecord): CheckpointView => ({
  thread: record.thread,
  id: record.id,
  namespace: record.namespace,
  ...(record.parent !== null && { parent: record.parent }),
  needsParent: record.needsParent,
  kind: record.kind,
  status: record.corrupted ? 'corrupted' : record.superseded ? 'superseded' : 'intact',
  format: record.format,
  bytes: record.object.bytes,
  sha256: record.object.sha256,
  ...(record.label !== null && { label: record.label }),
  metadata: record.metadata,
  ...(record.point && { point: record.point }),
  pins: [...record.pins],
  createdAt: record.createdAt.toISOString(),
  version: record.version,
  position: `${record.partition}:${record.offset}`,
})

/** A checkpoint with everything that belongs to it. @throws OmiumError `object_missing`, `object_corrupt` */
const load = async (
  { checkpointObjects, reads }: Parts,
  tenant: string,
  record: CheckpointRecord,
): Promise<Pick<CheckpointDetail, 'state' | 'writes'>> => {
  const open = async (format: string, object: ObjectRef) => stateOf(format, await checkpointObjects.load(object))
  const written = await listWrites(reads, tenant, record.thread, record.namespace, record.id)
  const [state, ...states] = await Promise.all([
    open(record.format, record.object),
    ...written.map(({ format, object }) => open(format, object)),
  ])
  const writes = written.map(({ taskId, taskPath, writes }, i) => ({
    taskId,
    taskPath,
    writes: [...writes],
    state: states[i] as StateBody,
  }))
  return { state, writes }
}

type Loaded = Awaited<ReturnType<typeof load>>

const report = (
  { checkpoints, ids }: Parts,
  asker: Asker,
  { thread, namespace, id }: CheckpointRecord,
  found: Found,
  fallbackId?: string,
) =>
  checkpoints.execute(asker, aggregateKey('thread', asker.tenant, thread), ids('command'), {
    type: 'ReportCorruption',
    data: { namespace, checkpointId: id, found, ...(fallbackId !== undefined && { fallbackId }) },
  })

/** Records that a run's checkpoint is damaged and waits until it was made again. @returns it, or null when it was not */
const rebuilt = async (
  parts: Parts,
  asker: Asker,
  record: CheckpointRecord,
  found: Found,
): Promise<CheckpointRecord | null> => {
  const { checkpoints, reads } = parts
  const { thread, namespace, id } = record
  const done = Promise.withResolvers<boolean>()
  const unsubscribe = checkpoints.live.subscribe(aggregateKey('thread', asker.tenant, thread), ({ type, data }) => {
    if (type !== 'CheckpointRebuilt' && type !== 'CheckpointRebuildFailed') return
    const of = data as CheckpointRef
    if (of.namespace === namespace && of.checkpointId === id) done.resolve(type === 'CheckpointRebuilt')
  })
  const timer = setTimeout(() => done.resolve(false), rebuildWaitMs)
  try {
    await report(parts, asker, record, found)
    if (!(await done.promise)) return null
    await checkpoints.untilCurrent(aggregateKey('thread', asker.tenant, thread))
    return (await getCheckpoint(reads, asker.tenant, thread, namespace, id)) ?? null
  } finally {
    clearTimeout(timer)
    unsubscribe()
  }
}

interface Read {
  readonly record: CheckpointRecord
  readonly loaded: Loaded
}

/** Reads a checkpoint as it is stored. A finding is not recorded yet. */
const asStored = async (parts: Parts, tenant: string, record: CheckpointRecord): Promise<Read | Found> => {
  try {
    return { record, loaded: await load(parts, tenant, record) }
  } catch (error) {
    const found = foundOf(error)
    if (found === null) throw error
    return found
  }
}

/** The same, made again where that can be done. */
const attempt = async (parts: Parts, asker: Asker, record: CheckpointRecord): Promise<Read | Found> => {
  const read = await asStored(parts, asker.tenant, record)
  if (typeof read === 'object' || record.kind !== 'run') return read
  const again = await rebuilt(parts, asker, record, read)
  return again ? asStored(parts, asker.tenant, again) : read
}

/** Older ones of the same namespace, newest first. */
const olderThan = async ({ reads }: Parts, tenant: string, record: CheckpointRecord, byId: boolean) => {
  const { thread, namespace } = record
  const order = byId ? 'id' : 'created'
  const { items } = await listCheckpoints(reads, tenant, { thread, namespace, order, superseded: false, limit: 200 })
  const older = items.filter(({ id, seq }) => (byId ? id < record.id : seq < record.seq))
  return older.slice(0, fallbacksTried)
}

const detail = (record: CheckpointRecord, loaded: Loaded, insteadOf?: string): CheckpointDetail => ({
  ...checkpointViewOf(record),
  ...loaded,
  ...(insteadOf !== undefined && { insteadOf }),
})

/**
 * @param latest the newest was asked for, not this one: an older one will do. `byId`: the order is that of ids
 * @throws OmiumError `checkpoint_corrupt`
 */
export const readCheckpoint = async (
  parts: Parts,
  asker: Asker,
  record: CheckpointRecord,
  latest: { byId: boolean } | null,
): Promise<CheckpointDetail> => {
  const { reads } = parts
  const { tenant } = asker
  // what it builds on is read by whoever puts it together; here it counts what such reads have found
  const readable = async (of: CheckpointRecord) => !latest || !(await buildsOnDamage(reads, tenant, of))
  const read = (await readable(record)) ? await attempt(parts, asker, record) : null
  if (read !== null && typeof read === 'object') return detail(read.record, read.loaded)
  const damaged: { record: CheckpointRecord; found: Found }[] = read === null ? [] : [{ record, found: read }]
  let fallback: Read | undefined
  for (const older of await olderThan(parts, tenant, record, latest?.byId ?? false)) {
    if (!(await readable(older))) continue
    // those of runs are made again as well, but nobody waits for each of them
    const next = await asStored(parts, tenant, older)
    if (typeof next === 'object') {
      fallback = next
      break
    }
    damaged.push({ record: older, found: next })
  }
  for (const { record: of, found } of damaged) await report(parts, asker, of, found, fallback?.record.id)
  if (latest && fallback) return detail(fallback.record, fallback.loaded, record.id)
  const hint = fallback ? `; the newest older one that is intact is ${fallback.record.id}` : '; no older one is intact'
  const what = read === null ? 'builds on one that is damaged' : `is ${read}`
  const why = `the state of checkpoint ${record.id} ${what}${record.kind === 'run' && read !== null ? ', and the log cannot give it now' : ''}`
  throw new OmiumError('checkpoint_corrupt', `${why}${hint}`, {
    ...(fallback && { data: { fallback: fallback.record.id } }),
  })
}

/** Reads a checkpoint only to say how it is; a finding is recorded. */
export const verifyCheckpoint = async (
  parts: Parts,
  asker: Asker,
  record: CheckpointRecord,
): Promise<CheckpointVerdict> => {
  try {
    await load(parts, asker.tenant, record)
    return { intact: true, rebuilt: false }
  } catch (error) {
    const found = foundOf(error)
    if (found === null) throw error
    if (record.kind === 'run')
      return { intact: false, found, rebuilt: (await rebuilt(parts, asker, record, found)) !== null }
    await report(parts, asker, record, found)
    return { intact: false, found, rebuilt: false }
  }
}
