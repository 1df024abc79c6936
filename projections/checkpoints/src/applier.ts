import type { AcceptedEvent } from '@omium/log'
import { type Applier, type CopyValue, copyRows, type ProjectionTx } from '@omium/projection-kit'
import { type CheckpointEvent, type CheckpointRef, checkpointEvents, parseAggregateKey } from '@omium/schemas'
import { searchable } from './searchable.ts'

/**
 * Writes a batch of accepted events into the read models. New checkpoints and writes, which are nearly all events, are
 * copied in together; whatever changes rows comes after what was before it and before what comes after it.
 */
export const createApplier = (): Applier => ({
  forget: () => undefined,
  apply: async (events, tx) => {
    const fresh = new Fresh(tx)
    for (const event of events) {
      if (!(event.type in checkpointEvents)) continue
      const thread = parseAggregateKey(event.envelope.aggregate)?.id ?? ''
      const { type, data } = event as { type: string; data: unknown } as CheckpointEvent
      if (type === 'CheckpointCreated') fresh.checkpoints.push(checkpointRow(thread, event, data))
      else if (type === 'CheckpointWritesAdded') fresh.writes.push(writesRow(thread, event, data))
      else {
        await fresh.flush()
        await change(tx, thread, event, { type, data } as Exclude<CheckpointEvent, { type: typeof created }>)
      }
    }
    await fresh.flush()
  },
})
const created = 'CheckpointCreated'

class Fresh {
  checkpoints: CopyValue[][] = []
  writes: CopyValue[][] = []
  readonly #tx: ProjectionTx

  constructor(tx: ProjectionTx) {
    this.#tx = tx
  }

  async flush(): Promise<void> {
    const { client, schema } = this.#tx
    const { checkpoints, writes } = this
    this.checkpoints = []
    this.writes = []
    if (checkpoints.length > 0) await copyRows(client, `${schema}.checkpoints`, checkpointColumns, checkpoints)
    if (writes.length > 0) await copyRows(client, `${schema}.writes`, writesColumns, writes)
  }
}

const checkpointColumns = [
  'tenant',
  'thread',
  'namespace',
  'id',
  'seq',
  'parent',
  'needs_parent',
  'kind',
  'corrupted',
  'superseded',
  'format',
  'object',
  'label',
  'metadata',
  'execution_id',
  'point',
  'pins',
  'created_at',
  'version',
  'partition',
  'log_offset',
] as const

type DataOf<T extends CheckpointEvent['type']> = Extract<CheckpointEvent, { type: T }>['data']

const timestamp = (ms: number): string => new Date(ms).toISOString()

const checkpointRow = (
  thread: string,
  { envelope, partition, offset }: AcceptedEvent,
  data: DataOf<'CheckpointCreated'>,
): CopyValue[] => [
  envelope.tenant,
  thread,
  data.namespace,
  data.checkpointId,
  envelope.version,
  data.parentId,
  data.needsParent ?? false,
  data.kind,
  false,
  data.superseded ?? false,
  data.format,
  JSON.stringify(data.object),
  data.label,
  JSON.stringify(searchable(data.metadata ?? {})),
  data.point?.executionId,
  data.point && JSON.stringify(data.point),
  '{}',
  timestamp(envelope.time),
  envelope.version,
  partition,
  offset,
]

const writesColumns = ['tenant', 'thread', 'namespace', 'id', 'version', 'data', 'partition', 'log_offset'] as const

const writesRow = (
  thread: string,
  { envelope, partition, offset }: AcceptedEvent,
  { namespace, checkpointId, ...data }: DataOf<'CheckpointWritesAdded'>,
): CopyValue[] => [
  envelope.tenant,
  thread,
  namespace,
  checkpointId,
  envelope.version,
  JSON.stringify(data),
  partition,
  offset,
]

const change = async (
  { client, schema }: ProjectionTx,
  thread: string,
  { envelope, offset }: AcceptedEvent,
  { type, data }: CheckpointEvent,
): Promise<void> => {
  const { tenant, version } = envelope
  const checkpoints = `${schema}.checkpoints`
  /** @param set how one checkpoint changes; its parameters begin at $7 */
  const update = ({ namespace, checkpointId }: CheckpointRef, set: string, ...values: unknown[]) =>
    client.query(
      `UPDATE ${checkpoints} SET ${set}, version = $5, log_offset = $6
       WHERE tenant = $1 AND thread = $2 AND namespace = $3 AND id = $4`,
      [tenant, thread, namespace, checkpointId, version, offset, ...values],
    )
  switch (type) {
    case 'CheckpointPinned':
      await update(data, 'pins = array_append(pins, $7)', data.holder)
      return
    case 'CheckpointUnpinned':
      await update(data, 'pins = array_remove(pins, $7)', data.holder)
      return
    case 'CheckpointCorrupted':
      await update(data, 'corrupted = true')
      return
    case 'CheckpointRebuilt':
      await update(data, 'corrupted = false, object = $7', JSON.stringify(data.object))
      return
    case 'ThreadRolledBack':
      await client.query(
        `UPDATE ${checkpoints} SET superseded = true, version = $5, log_offset = $6
         WHERE tenant = $1 AND thread = $2 AND namespace = $3 AND NOT superseded AND seq > (
           SELECT seq FROM ${checkpoints} WHERE tenant = $1 AND thread = $2 AND namespace = $3 AND id = $4)
           AND coalesce((point->>'version')::bigint, 0) < $7`,
        [
          tenant,
          thread,
          data.namespace,
          data.checkpointId,
          version,
          offset,
          data.beforeVersion ?? Number.MAX_SAFE_INTEGER,
        ],
      )
      return
    case 'CheckpointsDeleted':
      for (const table of ['checkpoints', 'writes']) {
        await client.query(
          `DELETE FROM ${schema}.${table} t USING unnest($3::text[], $4::text[]) AS gone (namespace, id)
           WHERE t.tenant = $1 AND t.thread = $2 AND t.namespace = gone.namespace AND t.id = gone.id`,
          [
            tenant,
            thread,
            data.checkpoints.map(({ namespace }) => namespace),
            data.checkpoints.map(({ checkpointId }) => checkpointId),
          ],
        )
      }
      return
    case 'RetentionSet':
      await client.query(
        `INSERT INTO ${schema}.retentions (tenant, thread, retention, version) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant, thread) DO UPDATE SET retention = excluded.retention, version = excluded.version`,
        [tenant, thread, JSON.stringify(data.retention), version],
      )
      return
    case 'ThreadDeleted':
      for (const table of ['checkpoints', 'writes', 'retentions']) {
        await client.query(`DELETE FROM ${schema}.${table} WHERE tenant = $1 AND thread = $2`, [tenant, thread])
      }
      return
    default:
      return
  }
}
