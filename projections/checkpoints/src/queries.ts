import { type KeyPart, keyset, type Page, type Paging, type Reads } from '@omium/projection-kit'
import type { CheckpointKind, CheckpointMetadata, CheckpointRetention, ObjectRef, RunPoint } from '@omium/schemas'
import { searchable } from './searchable.ts'

/**
 * Everything that is read from the checkpoint read models. Every function takes the tenant first and every statement has it in
 * its WHERE clause: another tenant's rows are as if they did not exist.
 */
export interface CheckpointRecord {
  readonly thread: string
  readonly namespace: string
  readonly id: string
  readonly seq: number
  readonly parent: string | null
  readonly needsParent: boolean
  readonly kind: CheckpointKind
  readonly corrupted: boolean
  readonly superseded: boolean
  readonly format: string
  readonly object: ObjectRef
  readonly label: string | null
  readonly metadata: CheckpointMetadata
  readonly point: RunPoint | null
  readonly pins: readonly string[]
  readonly createdAt: Date
  readonly version: number
  readonly partition: number
  readonly offset: number
}

const columns = `thread, namespace, id, seq, parent, needs_parent AS "needsParent", kind, corrupted, superseded, format, object, label, metadata, point, pins,
  created_at AS "createdAt", version, partition, log_offset AS "offset"`

export const getCheckpoint = async (
  reads: Reads,
  tenant: string,
  thread: string,
  namespace: string,
  id: string,
): Promise<CheckpointRecord | undefined> => {
  const { rows } = await reads.query<CheckpointRecord>(
    { tenant },
    {
      name: 'checkpoint-get',
      text: `SELECT ${columns} FROM checkpoints.checkpoints
           WHERE tenant = $1 AND thread = $2 AND namespace = $3 AND id = $4`,
      values: [tenant, thread, namespace, id],
    },
  )
  return rows[0]
}

/** Whether something that the checkpoint builds on is damaged or gone, as far as is known. */
export const buildsOnDamage = async (
  reads: Reads,
  tenant: string,
  { thread, namespace, id, needsParent }: CheckpointRecord,
): Promise<boolean> => {
  if (!needsParent) return false
  const { rows } = await reads.query<{ damaged: boolean }>(
    { tenant },
    {
      name: 'checkpoint-ancestors',
      text: `WITH RECURSIVE line AS (
             SELECT id, parent, needs_parent, corrupted FROM checkpoints.checkpoints
             WHERE tenant = $1 AND thread = $2 AND namespace = $3 AND id = $4
             UNION
             SELECT c.id, c.parent, c.needs_parent, c.corrupted
             FROM line JOIN checkpoints.checkpoints c
               ON c.tenant = $1 AND c.thread = $2 AND c.namespace = $3 AND c.id = line.parent
             WHERE line.needs_parent)
           SELECT bool_or(corrupted AND id <> $4)
               OR bool_or(needs_parent AND NOT EXISTS (SELECT FROM line up WHERE up.id = line.parent)) AS damaged
           FROM line`,
      values: [tenant, thread, namespace, id],
    },
  )
  return rows[0]?.damaged === true
}

export type CheckpointOrder = 'created' | 'id'

export interface CheckpointFilter extends Paging {
  readonly thread?: string | undefined
  readonly namespace?: string | undefined
  readonly id?: string | undefined
  readonly kind?: CheckpointKind | undefined
  /** each member has to be equal */
  readonly metadata?: CheckpointMetadata | undefined
  readonly order: CheckpointOrder
  /** with order `id`: only smaller ids */
  readonly before?: string | undefined
  readonly superseded: boolean
}

/** Newest first, or greatest id first. @throws OmiumError `invalid_request` for a cursor that this list never gave */
export const listCheckpoints = async (
  reads: Reads,
  tenant: string,
  { thread, namespace, id, kind, metadata, order, before, superseded, limit, cursor }: CheckpointFilter,
): Promise<Page<CheckpointRecord>> => {
  const values: unknown[] = [tenant]
  const bind = (value: unknown) => `$${values.push(value)}`
  const conditions = ['tenant = $1']
  if (thread !== undefined) conditions.push(`thread = ${bind(thread)}`)
  if (namespace !== undefined) conditions.push(`namespace = ${bind(namespace)}`)
  if (id !== undefined) conditions.push(`id = ${bind(id)}`)
  if (kind !== undefined) conditions.push(`kind = ${bind(kind)}`)
  if (metadata !== undefined) conditions.push(`metadata @> ${bind(JSON.stringify(searchable(metadata)))}::jsonb`)
  if (!superseded) conditions.push('NOT superseded')
  if (before !== undefined) conditions.push(`id < ${bind(before)}`)
  // within a thread the order of creation is the thread's own; across threads it is that of the clocks
  const keys: readonly SortKey[] =
    order === 'id'
      ? [idKey, threadKey, namespaceKey]
      : thread !== undefined
        ? [seqKey]
        : [createdKey, threadKey, seqKey]
  const list = keyset(...keys.map(({ part }) => part))
  const from = list.after(cursor)
  if (from) {
    const placeholders = keys.map(({ cast }, i) => `${bind(from[i])}${cast}`)
    conditions.push(`(${keys.map(({ column }) => column).join(', ')}) < (${placeholders.join(', ')})`)
  }
  const { rows } = await reads.query<CheckpointRecord>(
    { tenant },
    `SELECT ${columns} FROM checkpoints.checkpoints WHERE ${conditions.join(' AND ')}
     ORDER BY ${keys.map(({ column }) => `${column} DESC`).join(', ')} LIMIT ${bind(limit + 1)}`,
    values,
  )
  return list.page(rows, limit, (record) => keys.map(({ of }) => of(record)))
}

interface SortKey {
  readonly column: string
  readonly cast: string
  readonly part: KeyPart
  readonly of: (record: CheckpointRecord) => Date | string | number
}
const idKey: SortKey = { column: 'id', cast: '', part: 'text', of: ({ id }) => id }
const threadKey: SortKey = { column: 'thread', cast: '', part: 'text', of: ({ thread }) => thread }
const namespaceKey: SortKey = { column: 'namespace', cast: '', part: 'text', of: ({ namespace }) => namespace }
const seqKey: SortKey = { column: 'seq', cast: '::int', part: 'integer', of: ({ seq }) => seq }
const createdKey: SortKey = {
  column: 'created_at',
  cast: '::timestamptz',
  part: 'time',
  of: ({ createdAt }) => createdAt,
}

export interface WritesRecord {
  readonly taskId: string
  readonly taskPath: string
  readonly writes: readonly { readonly index: number; readonly channel: string }[]
  readonly object: ObjectRef
  readonly format: string
}

/** What was written on top of a checkpoint, in the order of writing. */
export const listWrites = async (
  reads: Reads,
  tenant: string,
  thread: string,
  namespace: string,
  id: string,
): Promise<readonly WritesRecord[]> => {
  const { rows } = await reads.query<{ data: WritesRecord }>(
    { tenant },
    {
      name: 'checkpoint-writes',
      text: `SELECT data FROM checkpoints.writes
           WHERE tenant = $1 AND thread = $2 AND namespace = $3 AND id = $4 ORDER BY version`,
      values: [tenant, thread, namespace, id],
    },
  )
  return rows.map(({ data }) => data)
}

export const getRetention = async (reads: Reads, tenant: string, thread: string): Promise<CheckpointRetention> => {
  const { rows } = await reads.query<{ retention: CheckpointRetention }>(
    { tenant },
    'SELECT retention FROM checkpoints.retentions WHERE tenant = $1 AND thread = $2',
    [tenant, thread],
  )
  return rows[0]?.retention ?? {}
}
