import type { AcceptedEvent } from '@omium/log'
import type { PoolClient } from 'pg'
import { isDataError } from './database.ts'
import type { Applier, Generation, ProjectionDefinition, Slice } from './definition.ts'
import { generationLock } from './offsets.ts'
import { storable } from './statements.ts'

/**
 * The transaction of a projection.
 *
 * 1. Events and the offset after them are stored in one transaction, so an event is applied exactly once, whatever dies.
 * 2. The offset rows are locked and compared first: a slice that does not start where the row stands is refused, also
 *    when two processes believe that they hold the partition. The loser changes nothing.
 * 3. Only the live generation's writers share the generation lock; once another generation is live they stop.
 * 4. Data that Postgres refuses is isolated by halving, so that one bad event costs itself and nothing else.
 */

class OffsetConflict extends Error {
  override readonly name = 'OffsetConflict'
}
export class GenerationRetired extends Error {
  override readonly name = 'GenerationRetired'
}

export interface ApplyTarget {
  readonly definition: ProjectionDefinition
  readonly generation: Generation
  readonly applier: Applier
  readonly topic: string
}

interface Refused {
  readonly partition: number
  readonly offset: number
  readonly envelope?: AcceptedEvent['envelope']
  readonly code: string
  readonly detail: string
}

export interface Applied {
  readonly events: number
  readonly deadLetters: number
}

/** Channel on which a commit of a live generation tells `{projection, offsets: {partition: nextOffset}}`. */
export const positionsChannel = 'omium_projection_positions'
/** Postgres limits a notification to 8000 bytes; one partition takes at most 25 */
const partitionsPerNotice = 250

/**
 * Applies slices (at most one for each partition) and stores the offsets after them.
 * @throws OffsetConflict when another process has moved a partition, GenerationRetired when the generation is not live
 * any more; both leave everything as it was
 */
export const applySlices = async (
  client: PoolClient,
  target: ApplyTarget,
  slices: readonly Slice[],
): Promise<Applied> => {
  try {
    return await transact(client, target, slices, (slice) => slice.events)
  } catch (error) {
    target.applier.forget()
    if (!isDataError(error)) throw error
    return isolate(client, target, slices, error)
  }
}

const isolate = async (
  client: PoolClient,
  target: ApplyTarget,
  slices: readonly Slice[],
  error: unknown,
): Promise<Applied> => {
  const events = slices.reduce((sum, slice) => sum + slice.events.length, 0)
  if (events === 0) throw error
  const only = slices.length === 1 ? slices[0] : undefined
  if (only && events === 1) {
    const [event] = only.events as [AcceptedEvent]
    const refused: Refused = {
      partition: event.partition,
      offset: event.offset,
      envelope: event.envelope,
      code: 'record_unfoldable',
      detail: `the database refuses its data: ${(error as Error).message}`,
    }
    return transact(client, target, slices, () => [], [refused])
  }
  let applied = { events: 0, deadLetters: 0 }
  for (const half of halves(slices)) {
    const part = await applySlices(client, target, half)
    applied = { events: applied.events + part.events, deadLetters: applied.deadLetters + part.deadLetters }
  }
  return applied
}

/** Two parts that applied one after the other equal the whole. */
const halves = (slices: readonly Slice[]): (readonly Slice[])[] => {
  if (slices.length > 1) {
    const middle = slices.length >> 1
    return [slices.slice(0, middle), slices.slice(middle)]
  }
  const slice = slices[0] as Slice
  const middle = slice.events.length >> 1
  const cut = (slice.events[middle] as AcceptedEvent).offset
  const { checkpoint, ...rest } = slice
  return [
    [{ ...rest, events: slice.events.slice(0, middle), deadLetters: [], rejected: [], nextOffset: cut }],
    [{ ...slice, events: slice.events.slice(middle), fromOffset: cut }],
  ]
}

const transact = async (
  client: PoolClient,
  { definition, generation, applier, topic }: ApplyTarget,
  slices: readonly Slice[],
  eventsOf: (slice: Slice) => readonly AcceptedEvent[],
  alreadyRefused: readonly Refused[] = [],
): Promise<Applied> => {
  const refused: Refused[] = [...alreadyRefused]
  for (const slice of slices) {
    for (const { source, code, detail } of slice.deadLetters) {
      refused.push({ partition: source.partition, offset: source.offset, code, detail })
    }
  }
  await client.query(
    generation.live ? `BEGIN; SELECT pg_advisory_xact_lock_shared(${generationLock(definition.name)})` : 'BEGIN',
  )
  try {
    await lockOffsets(client, definition.name, generation, slices)
    const events = slices.length === 1 ? eventsOf(slices[0] as Slice) : slices.flatMap((slice) => eventsOf(slice))
    if (events.length > 0) {
      await applier.apply(events, {
        client,
        schema: generation.schema,
        deadLetter: ({ partition, offset, envelope }, code, detail) =>
          refused.push({ partition, offset, envelope, code, detail }),
      })
    }
    // a generation that is being rebuilt would report the same records again
    if (refused.length > 0 && generation.live) await storeDeadLetters(client, definition.name, topic, refused)
    await storePositions(client, definition.name, generation, slices)
    await client.query('COMMIT')
    return { events: events.length, deadLetters: refused.length }
  } catch (error) {
    // the connection itself may be what failed; then the server rolls back
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

const lockOffsets = async (
  client: PoolClient,
  projection: string,
  generation: Generation,
  slices: readonly Slice[],
) => {
  const { rows } = await client.query<{ partition: number; next_offset: number; live: boolean }>({
    name: 'projection-lock-offsets',
    text: `SELECT o.partition, o.next_offset, v.live FROM projection_offsets o
           JOIN projection_versions v USING (projection, generation)
           WHERE o.projection = $1 AND o.generation = $2 AND o.partition = ANY ($3::int[])
           ORDER BY o.partition FOR UPDATE OF o`,
    values: [projection, generation.number, slices.map(({ partition }) => partition)],
  })
  const found = new Map(rows.map((row) => [row.partition, row]))
  for (const { partition, fromOffset, events } of slices) {
    const row = found.get(partition)
    if (!row || row.live !== generation.live) {
      throw new GenerationRetired(`generation ${generation.number} of ${projection} is not what readers see any more`)
    }
    const first = events[0]?.offset ?? fromOffset
    if (row.next_offset !== fromOffset || first < row.next_offset) {
      throw new OffsetConflict(
        `${projection} partition ${partition} stands at ${row.next_offset}, not at ${Math.min(first, fromOffset)}`,
      )
    }
  }
}

const storeDeadLetters = async (client: PoolClient, projection: string, topic: string, refused: readonly Refused[]) => {
  await client.query(
    `INSERT INTO dead_letters (projection, topic, partition, log_offset, tenant, aggregate, type, code, detail)
     SELECT $1, $2, * FROM unnest($3::int[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
     ON CONFLICT DO NOTHING`,
    [
      projection,
      topic,
      refused.map(({ partition }) => partition),
      refused.map(({ offset }) => offset),
      refused.map(({ envelope }) => envelope && storable(envelope.tenant)),
      refused.map(({ envelope }) => envelope && storable(envelope.aggregate)),
      refused.map(({ envelope }) => envelope && storable(envelope.type)),
      refused.map(({ code }) => code),
      refused.map(({ detail }) => storable(detail)),
    ],
  )
}

const storePositions = async (
  client: PoolClient,
  projection: string,
  generation: Generation,
  slices: readonly Slice[],
) => {
  const notices: string[] = []
  for (let i = 0; generation.live && i < slices.length; i += partitionsPerNotice) {
    const offsets = Object.fromEntries(
      slices.slice(i, i + partitionsPerNotice).map(({ partition, nextOffset }) => [partition, nextOffset]),
    )
    notices.push(JSON.stringify({ projection, offsets }))
  }
  await client.query({
    name: 'projection-store-offsets',
    text: `WITH told AS (SELECT pg_notify('${positionsChannel}', notice) FROM unnest($5::text[]) AS notice),
                stored AS (
                  UPDATE projection_offsets o SET next_offset = s.next_offset, updated_at = now()
                  FROM unnest($3::int[], $4::bigint[]) AS s (partition, next_offset)
                  WHERE o.projection = $1 AND o.generation = $2 AND o.partition = s.partition)
           SELECT count(*) FROM told`,
    values: [
      projection,
      generation.number,
      slices.map(({ partition }) => partition),
      slices.map(({ nextOffset }) => nextOffset),
      notices,
    ],
  })
  for (const { partition, checkpoint } of slices) {
    if (!checkpoint) continue
    await client.query(
      `INSERT INTO projection_checkpoints (projection, generation, partition, next_offset, body)
       VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (projection, generation, partition)
       DO UPDATE SET next_offset = excluded.next_offset, body = excluded.body, updated_at = now()`,
      [projection, generation.number, partition, checkpoint.nextOffset, checkpoint.body],
    )
  }
}
