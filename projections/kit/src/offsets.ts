import type { AcceptanceCheckpoint } from '@omium/log'
import type { ClientBase, Pool } from 'pg'
import { type Generation, lockNumber, quoteIdentifier } from './definition.ts'

/** The rows that say how far each generation of a projection is. */

type Queryable = ClientBase | Pool

/** Writers of the live generation hold it shared for each transaction; the switch to another generation holds it alone. */
export const generationLock = (projection: string): number => lockNumber(`omium:projection:${projection}:generation`)

/** Name of the schema in which a generation is built before it takes the projection's own name. */
export const buildSchema = (projection: string, generation: number): string => `${projection}_g${generation}`

/** The generation that readers see. @throws RangeError when the migrations made none */
export const liveGeneration = async (
  db: Queryable,
  projection: string,
): Promise<Generation & { codeVersion: number }> => {
  const { rows } = await db.query<{ generation: number; code_version: number }>(
    'SELECT generation, code_version FROM projection_versions WHERE projection = $1 AND live',
    [projection],
  )
  const row = rows[0]
  if (!row) throw new RangeError(`the database has no live generation of ${projection}: run the migrations`)
  return {
    number: row.generation,
    schema: quoteIdentifier(projection),
    live: true,
    codeVersion: row.code_version,
  }
}

/** Next offset by partition; a partition that was never read is not in the map and starts at 0. */
export const readOffsets = async (
  db: Queryable,
  projection: string,
  generation: number,
): Promise<Map<number, number>> => {
  const { rows } = await db.query<{ partition: number; next_offset: number }>(
    'SELECT partition, next_offset FROM projection_offsets WHERE projection = $1 AND generation = $2',
    [projection, generation],
  )
  return new Map(rows.map((row) => [row.partition, row.next_offset]))
}

/** Makes the offset rows of these partitions exist, so that a transaction can lock them. */
export const ensureOffsets = async (
  db: Queryable,
  projection: string,
  generation: number,
  partitions: readonly number[],
): Promise<void> => {
  await db.query(
    `INSERT INTO projection_offsets (projection, generation, partition, next_offset)
     SELECT $1, $2, partition, 0 FROM unnest($3::int[]) AS partition ON CONFLICT DO NOTHING`,
    [projection, generation, partitions],
  )
}

/** Checkpoints of the acceptance fold, by partition. */
export const readCheckpoints = async (
  db: Queryable,
  projection: string,
  generation: number,
): Promise<Map<number, AcceptanceCheckpoint>> => {
  const { rows } = await db.query<{ partition: number; next_offset: number; body: Buffer }>(
    'SELECT partition, next_offset, body FROM projection_checkpoints WHERE projection = $1 AND generation = $2',
    [projection, generation],
  )
  return new Map(rows.map((row) => [row.partition, { nextOffset: row.next_offset, body: row.body }]))
}

/** The newest checkpoint of every partition, whichever projection stored it: the fold is the same for every reader. */
export const newestCheckpoints = async (
  db: Queryable,
  projections: readonly string[],
): Promise<Map<number, AcceptanceCheckpoint>> => {
  const { rows } = await db.query<{ partition: number; next_offset: number; body: Buffer }>(
    `SELECT DISTINCT ON (partition) partition, next_offset, body FROM projection_checkpoints
     WHERE projection = ANY ($1) ORDER BY partition, next_offset DESC`,
    [projections],
  )
  return new Map(rows.map((row) => [row.partition, { nextOffset: row.next_offset, body: row.body }]))
}
