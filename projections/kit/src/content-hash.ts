import type { ClientBase } from 'pg'
import { type ProjectionTable, quoteIdentifier } from './definition.ts'

/** What a table holds, in three numbers that don't depend on the order of its rows. Comparable within one database. */
export interface TableDigest {
  readonly table: string
  readonly rows: number
  readonly hash: string
}

export interface Difference {
  readonly table: string
  /** primary key of the first row that differs */
  readonly key: Record<string, unknown>
  readonly live: string | null
  readonly rebuilt: string | null
}

/** Sums of two independent 64-bit hashes of every row's text: 128 bits, one pass, no sort. */
export const digestTables = async (
  client: ClientBase,
  schema: string,
  tables: readonly ProjectionTable[],
): Promise<TableDigest[]> => {
  const digests: TableDigest[] = []
  for (const { name } of tables) {
    const { rows } = await client.query<{ rows: number; a: string; b: string }>(
      `SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0) AS a,
              coalesce(sum(hashtextextended(t::text, 1)), 0) AS b
       FROM ${schema}.${quoteIdentifier(name)} t`,
    )
    const { rows: count, a, b } = rows[0] as { rows: number; a: string; b: string }
    digests.push({ table: name, rows: count, hash: `${a}:${b}` })
  }
  return digests
}

/** The first row, by table and key, that two schemas hold differently. */
export const firstDifference = async (
  client: ClientBase,
  liveSchema: string,
  rebuiltSchema: string,
  tables: readonly ProjectionTable[],
): Promise<Difference | null> => {
  for (const { name, key } of tables) {
    const columns = key.map(quoteIdentifier)
    const keyOf = columns.map((column) => `'${column.slice(1, -1)}', coalesce(l.${column}, r.${column})`).join(', ')
    const { rows } = await client.query<{ key: Record<string, unknown>; live: string | null; rebuilt: string | null }>(
      `SELECT json_build_object(${keyOf}) AS key, l::text AS live, r::text AS rebuilt
       FROM ${liveSchema}.${quoteIdentifier(name)} l
       FULL JOIN ${rebuiltSchema}.${quoteIdentifier(name)} r USING (${columns.join(', ')})
       WHERE l::text IS DISTINCT FROM r::text
       ORDER BY ${columns.join(', ')} LIMIT 1`,
    )
    const row = rows[0]
    if (row) return { table: name, ...row }
  }
  return null
}
