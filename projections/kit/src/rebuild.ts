import { eventsTopic } from '@omium/schemas'
import type { ClientBase, Pool, PoolClient } from 'pg'
import { type ApplyTarget, applySlices } from './apply-slices.ts'
import { type Difference, digestTables, firstDifference, type TableDigest } from './content-hash.ts'
import { type Generation, lockNumber, type ProjectionDefinition, quoteIdentifier } from './definition.ts'
import { Intake } from './intake.ts'
import { buildSchema, ensureOffsets, generationLock, liveGeneration, readOffsets } from './offsets.ts'
import type { ProjectionLog } from './runner.ts'

/**
 * Blue/green rebuild and verification.
 *
 * 1. A new generation is filled from offset 0 in a schema of its own, beside the live one, which goes on being written.
 * 2. It never passes the live one: contents are compared at exactly the live offsets, seen in one snapshot.
 * 3. The switch is one transaction that waits for the live writers: the new generation takes the projection's schema name
 *    and its offsets become the ones that writers compare. A writer of the old generation then changes nothing any more.
 * 4. One rebuild or verification of a projection runs at a time; what a dead one left behind is dropped by the next.
 */

export interface RebuildOptions {
  readonly definition: ProjectionDefinition
  readonly log: ProjectionLog
  readonly pool: Pool
  /** switch although contents differ from what the same code version left live: repairs a damaged read model */
  readonly acceptDifference?: boolean
  readonly maxRecords?: number
  readonly onProgress?: (progress: { events: number; lag: number }) => void
}

export interface Comparison {
  readonly equal: boolean
  readonly live: readonly TableDigest[]
  readonly rebuilt: readonly TableDigest[]
  readonly difference: Difference | null
  readonly offsets: Readonly<Record<number, number>>
  readonly events: number
}

export interface RebuildResult extends Comparison {
  readonly switched: boolean
  readonly generation: number
}

/** Rebuilds beside the live generation and switches to it, unless contents differ without a reason. */
export const rebuild = (options: RebuildOptions): Promise<RebuildResult> =>
  withBuild(options, async (build) => {
    const comparison = await build.compare()
    const mayDiffer = options.acceptDifference === true || build.liveCodeVersion !== options.definition.codeVersion
    if (!comparison.equal && !mayDiffer) {
      return { ...comparison, switched: false, generation: build.generation.number }
    }
    await build.switchOver()
    return { ...comparison, switched: true, generation: build.generation.number }
  })

/** Rebuilds into a scratch schema up to the live offsets and says whether the live contents are what the log says. */
export const verify = (options: RebuildOptions): Promise<Comparison> => withBuild(options, (build) => build.compare())

interface Build {
  readonly generation: Generation
  readonly liveCodeVersion: number
  compare(): Promise<Comparison>
  switchOver(): Promise<void>
}

const withBuild = async <T>(options: RebuildOptions, use: (build: Build) => Promise<T>): Promise<T> => {
  const { definition, pool } = options
  const client = await pool.connect()
  const lock = lockNumber(`omium:projection:${definition.name}:rebuild`)
  let failed: Error | undefined
  try {
    await client.query('SELECT pg_advisory_lock($1)', [lock])
    await dropBuilds(client, definition.name)
    const live = await liveGeneration(client, definition.name)
    const generation = await createGeneration(client, definition)
    const filler = await openFiller(options, generation, client)
    try {
      return await use({
        generation,
        liveCodeVersion: live.codeVersion,
        compare: () => compareGenerations(options, generation, filler),
        switchOver: () => switchGenerations(options, live.number, generation, filler),
      })
    } finally {
      await filler.close()
    }
  } catch (error) {
    failed = error as Error
    throw error
  } finally {
    await dropBuilds(client, definition.name).catch(() => undefined)
    await client.query('SELECT pg_advisory_unlock($1)', [lock]).catch(() => undefined)
    client.release(failed)
  }
}

/** Drops every generation that is not live: leftovers, scratch copies, and what the switch retired. */
const dropBuilds = async (client: ClientBase, projection: string) => {
  const { rows } = await client.query<{ generation: number }>(
    'SELECT generation FROM projection_versions WHERE projection = $1 AND NOT live',
    [projection],
  )
  for (const { generation } of rows) {
    await client.query(`DROP SCHEMA IF EXISTS ${quoteIdentifier(buildSchema(projection, generation))} CASCADE`)
    for (const table of ['projection_offsets', 'projection_checkpoints', 'projection_versions']) {
      await client.query(`DELETE FROM ${table} WHERE projection = $1 AND generation = $2`, [projection, generation])
    }
  }
}

const createGeneration = async (
  client: ClientBase,
  { name, codeVersion, tables }: ProjectionDefinition,
): Promise<Generation> => {
  const { rows } = await client.query<{ generation: number }>(
    `INSERT INTO projection_versions (projection, generation, code_version, live)
     SELECT $1, max(generation) + 1, $2, false FROM projection_versions WHERE projection = $1 RETURNING generation`,
    [name, codeVersion],
  )
  const number = (rows[0] as { generation: number }).generation
  const schema = quoteIdentifier(buildSchema(name, number))
  await client.query(`CREATE SCHEMA ${schema}`)
  for (const table of tables) {
    const quoted = quoteIdentifier(table.name)
    await client.query(`CREATE TABLE ${schema}.${quoted} (LIKE ${quoteIdentifier(name)}.${quoted} INCLUDING ALL)`)
  }
  // a copy of a table comes without its policies and without who may read it
  await client.query('SELECT access.build_walls($1)', [buildSchema(name, number)])
  return { number, schema, live: false }
}

interface Filler {
  /** applies everything up to these offsets, which are at or before the end of the log */
  fillTo(offsets: ReadonlyMap<number, number>): Promise<void>
  readonly events: number
  close(): Promise<void>
}

const openFiller = async (
  { definition, log, pool, maxRecords = 10_000, onProgress }: RebuildOptions,
  generation: Generation,
  client: PoolClient,
): Promise<Filler> => {
  const { context, openTail } = log
  const topic = eventsTopic(context.topicPrefix, context.definition.name)
  const partitions = [...Array(await context.transport.partitionCount(topic)).keys()]
  await ensureOffsets(client, definition.name, generation.number, partitions)
  const tail = await openTail(
    context,
    partitions.map((partition) => ({ partition, fromOffset: 0 })),
  )
  const positions = new Map(partitions.map((partition) => [partition, 0]))
  const intake = new Intake(tail, { maxRecords, checkpointEvery: 50_000, positions: new Map(positions) })
  const target: ApplyTarget = { definition, generation, applier: definition.createApplier(), topic }
  const writer = await pool.connect()
  let events = 0
  return {
    get events() {
      return events
    },
    fillTo: async (offsets) => {
      const missing = () =>
        [...offsets].reduce(
          (sum, [partition, offset]) => sum + Math.max(0, offset - (positions.get(partition) ?? 0)),
          0,
        )
      while (missing() > 0) {
        const slices = await intake.take(offsets)
        if (slices === null) throw new Error('the log ended before the live offsets were reached')
        const applied = await applySlices(writer, target, slices)
        events += applied.events
        for (const { partition, nextOffset } of slices) positions.set(partition, nextOffset)
        onProgress?.({ events, lag: missing() })
      }
    },
    close: async () => {
      await intake.close()
      writer.release()
    },
  }
}

const compareGenerations = async (
  { definition, pool }: RebuildOptions,
  generation: Generation,
  filler: Filler,
): Promise<Comparison> => {
  // catch up without a snapshot first, so that the snapshot below is held for a short tail only
  const live = await liveGeneration(pool, definition.name)
  await filler.fillTo(await readOffsets(pool, definition.name, live.number))
  const liveView = await pool.connect()
  const rebuiltView = await pool.connect()
  try {
    await liveView.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const offsets = await readOffsets(liveView, definition.name, live.number)
    await filler.fillTo(offsets)
    const liveDigests = await digestTables(liveView, live.schema, definition.tables)
    const rebuiltDigests = await digestTables(rebuiltView, generation.schema, definition.tables)
    const equal = liveDigests.every(
      (digest, i) => digest.rows === rebuiltDigests[i]?.rows && digest.hash === rebuiltDigests[i]?.hash,
    )
    // the snapshot began before the last rows of the rebuilt tables were written, so a row can be missing on one side;
    // the differing row is looked for by writers held off, which only happens when there is one
    const difference = equal ? null : await findDifference(liveView, definition, live, generation, filler)
    return {
      equal,
      live: liveDigests,
      rebuilt: rebuiltDigests,
      difference,
      offsets: Object.fromEntries(offsets),
      events: filler.events,
    }
  } finally {
    await liveView.query('ROLLBACK').catch(() => undefined)
    liveView.release()
    rebuiltView.release()
  }
}

const findDifference = async (
  client: PoolClient,
  { name, tables }: ProjectionDefinition,
  live: Generation,
  generation: Generation,
  filler: Filler,
): Promise<Difference | null> => {
  await client.query('ROLLBACK')
  await client.query(`BEGIN; SELECT pg_advisory_xact_lock(${generationLock(name)})`)
  await filler.fillTo(await readOffsets(client, name, live.number))
  return firstDifference(client, live.schema, generation.schema, tables)
}

const switchGenerations = async (
  { definition, pool }: RebuildOptions,
  liveNumber: number,
  generation: Generation,
  filler: Filler,
): Promise<void> => {
  const { name } = definition
  // readers plan by what is known about the tables: nothing yet
  for (const table of definition.tables) await pool.query(`ANALYZE ${generation.schema}.${quoteIdentifier(table.name)}`)
  // as close as possible before writers are held off
  await filler.fillTo(await readOffsets(pool, name, liveNumber))
  const client = await pool.connect()
  let failed: Error | undefined
  try {
    await client.query(`BEGIN; SELECT pg_advisory_xact_lock(${generationLock(name)})`)
    await filler.fillTo(await readOffsets(client, name, liveNumber))
    await client.query('UPDATE projection_versions SET live = false WHERE projection = $1 AND generation = $2', [
      name,
      liveNumber,
    ])
    await client.query(
      'UPDATE projection_versions SET live = true, switched_at = now() WHERE projection = $1 AND generation = $2',
      [name, generation.number],
    )
    await client.query(
      `ALTER SCHEMA ${quoteIdentifier(name)} RENAME TO ${quoteIdentifier(buildSchema(name, liveNumber))}`,
    )
    await client.query(`ALTER SCHEMA ${generation.schema} RENAME TO ${quoteIdentifier(name)}`)
    await client.query('COMMIT')
  } catch (error) {
    failed = error as Error
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  } finally {
    client.release(failed)
  }
}
