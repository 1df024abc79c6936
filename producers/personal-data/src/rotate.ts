import { OmiumError, readSettings } from '@omium/schemas'
import pg from 'pg'
import type { Kms } from './kms.ts'
import { kmsOf, kmsSettings } from './kms-of.ts'

/**
 * Wraps everything anew that is not wrapped under the current key, so that a former key can be taken away.
 *
 * 1. Each row is moved by itself, and only while it is as it was read: an erasure that happens meanwhile is not undone.
 * 2. A row that has been moved shows it. So whoever is killed in the middle leaves nothing half done, and starting again goes
 *    on with what is left.
 * 3. A row that cannot be unwrapped holds up no other; it is named.
 */
export interface WrappedColumn {
  readonly table: string
  /** the primary key */
  readonly key: readonly string[]
  readonly column: string
  /** whom it is wrapped for */
  subject(key: readonly unknown[]): string
}

/** Every place where the installation keeps what the key management has wrapped. */
export const wrappedColumns: readonly WrappedColumn[] = [
  { table: 'subject_keys', key: ['subject', 'version'], column: 'wrapped', subject: ([subject]) => String(subject) },
  { table: 'signing_keys', key: ['kid'], column: 'wrapped_private', subject: ([kid]) => `signing_keys/${kid}` },
  { table: 'webhook_secrets', key: ['id'], column: 'wrapped', subject: ([id]) => `webhook_secrets/${id}` },
]

export interface Rotated {
  moved: number
  /** which were under the current key already */
  current: number
  /** which cannot be unwrapped: `table/key` */
  failed: string[]
}

export interface RotateOptions {
  /** told after every batch */
  onProgress?(rotated: Rotated): void
}

const batch = 100
/** rows that are moved at a time: the key management may be far away */
const atOnce = 10

export const rotate = async (
  pool: Pick<pg.Pool, 'query'>,
  kms: Kms,
  { onProgress }: RotateOptions = {},
): Promise<Rotated> => {
  const rotated: Rotated = { moved: 0, current: 0, failed: [] }
  for (const column of wrappedColumns) await rotateColumn(pool, kms, column, rotated, () => onProgress?.(rotated))
  return rotated
}

const rotateColumn = async (
  pool: Pick<pg.Pool, 'query'>,
  kms: Kms,
  { table, key: keyColumns, column, subject }: WrappedColumn,
  rotated: Rotated,
  onProgress: () => void,
): Promise<void> => {
  const names = keyColumns.join(', ')
  const places = keyColumns.map((_, i) => `$${i + 1}`).join(', ')
  const move = async (at: readonly unknown[], wrapped: Buffer): Promise<void> => {
    if (kms.isCurrent(wrapped)) {
      rotated.current++
      return
    }
    const key = await kms.unwrap(wrapped, subject(at)).catch((error: unknown) => {
      if (error instanceof OmiumError) throw error
      rotated.failed.push([table, ...at].join('/'))
    })
    if (!key) return
    const moved = await kms.wrap(key, subject(at))
    const { rowCount } = await pool.query(
      `UPDATE ${table} SET ${column} = $${keyColumns.length + 2} WHERE (${names}) = (${places}) AND ${column} = $${keyColumns.length + 1}`,
      [...at, wrapped, moved],
    )
    rotated.moved += rowCount ?? 0
  }
  for (let after: readonly unknown[] | undefined; ; ) {
    const { rows } = await pool.query<[...unknown[], Buffer]>({
      rowMode: 'array',
      text: `SELECT ${names}, ${column} FROM ${table}
             WHERE ${column} IS NOT NULL ${after ? `AND (${names}) > (${places})` : ''} ORDER BY ${names} LIMIT ${batch}`,
      values: after ? [...after] : [],
    })
    for (let i = 0; i < rows.length; i += atOnce)
      await Promise.all(
        rows.slice(i, i + atOnce).map((row) => move(row.slice(0, keyColumns.length), row[keyColumns.length] as Buffer)),
      )
    if (rows.length > 0) onProgress()
    after = rows.at(-1)?.slice(0, keyColumns.length)
    if (!after || rows.length < batch) return
  }
}

/**
 * The same for whoever has an environment: for the command line.
 * @throws OmiumError `settings_invalid`, `unavailable`
 */
export const rotateKeys = async (
  env: Record<string, string | undefined>,
  options: RotateOptions = {},
): Promise<Rotated> => {
  const settings = readSettings(env, ['OMIUM_DATABASE_URL', ...kmsSettings])
  const kms = kmsOf(settings)
  const pool = new pg.Pool({ connectionString: settings.OMIUM_DATABASE_URL, max: atOnce })
  pool.on('error', () => undefined)
  try {
    return await rotate(pool, kms, options)
  } finally {
    await pool.end()
    kms.close()
  }
}
