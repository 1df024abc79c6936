import { eventually, freshDatabase, stackSettings } from '@omium/dev/testing'
import { partitionFor } from '@omium/log'
import { HistoryWriter } from '@omium/log/testing'
import { migrate } from '@omium/migrations'
import {
  createPool,
  createReads,
  openLog,
  type Page,
  type Reads,
  type RunningProjection,
  rebuild,
  runProjection,
  verify,
} from '@omium/projection-kit'
import { aggregateKey, type WorkflowContextEvent, workflowContext } from '@omium/schemas'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { workflowsProjection } from '../src/definition.ts'
import {
  getSchedule,
  getTrigger,
  getVersion,
  getWorkflow,
  listFirings,
  listRuns,
  listSchedules,
  listTriggers,
  listVersions,
  listWorkflows,
} from '../src/queries.ts'
import { created, ended, fired, put, requested, skipped, trigger } from './histories.ts'

/** The real log and a real database. */
const partitions = 2
let pool: Pool
let reads: Reads
let log: Awaited<ReturnType<typeof openLog>>
let writer: HistoryWriter
let projection: RunningProjection
/** whatever is written last: who sees it sees everything before it */
let written = 0

const write = (type: 'workflow' | 'schedule' | 'trigger', tenant: string, id: string, events: WorkflowContextEvent[]) =>
  writer.write(aggregateKey(type, tenant, id), events)
/** The read model is current when it has the last workflow of each partition. */
const current = async () => {
  const marks = [...writer.owned.keys()].map((partition) => {
    for (;;) {
      const id = `mark${written++}`
      if (partitionFor(aggregateKey('workflow', 'ten_marks', id), partitions) === partition) return id
    }
  })
  for (const id of marks) await write('workflow', 'ten_marks', id, [created(1)])
  await eventually(async () => {
    for (const id of marks) expect(await getWorkflow(reads, 'ten_marks', id)).toBeDefined()
  })
}
const readAll = async <T>(list: (cursor: string | undefined) => Promise<Page<T>>): Promise<T[]> => {
  const all: T[] = []
  for (let cursor: string | undefined; ; ) {
    const { items, nextCursor } = await list(cursor)
    all.push(...items)
    cursor = nextCursor
    if (!cursor) return all
  }
}

beforeAll(async () => {
  const databaseUrl = await freshDatabase()
  await migrate(databaseUrl)
  pool = createPool(databaseUrl)
  reads = createReads(pool)
  const env = {
    ...stackSettings(),
    OMIUM_PARTITIONS: String(partitions),
  }
  const quiet = () => undefined
  log = await openLog(env, workflowContext, 'workflows-spec', quiet)
  writer = await HistoryWriter.open(log.context, partitions)
  projection = await runProjection({ definition: workflowsProjection, log, pool, databaseUrl, onNotice: quiet })
})
afterAll(async () => {
  await projection?.close()
  await writer?.close()
  await log?.close()
  await pool?.end()
})

describe('workflows', () => {
  it('have versions and runs, each for its tenant', async () => {
    const published: WorkflowContextEvent = { type: 'WorkflowVersionPublished', data: { version: 1, by: 'k' } }
    await write('workflow', 'ten_a', 'w', [created(1), published, created(2)])
    await write('workflow', 'ten_a', 'w', [requested('wf.w.1'), requested('wf.w.2'), requested('wf.w.3', 2)])
    await write('workflow', 'ten_a', 'w', [{ type: 'WorkflowRunStarted', data: { runId: 'wf.w.1' } }, ended('wf.w.1')])
    await write('workflow', 'ten_b', 'w', [created(1), requested('wf.w.1')])
    await current()
    expect(await getWorkflow(reads, 'ten_a', 'w')).toMatchObject({
      latestVersion: 2,
      publishedVersion: 1,
      activeRuns: 2,
    })
    expect(await getWorkflow(reads, 'ten_b', 'w')).toMatchObject({ publishedVersion: null, activeRuns: 1 })
    expect(await getVersion(reads, 'ten_a', 'w', undefined)).toMatchObject({ version: 1, status: 'published' })
    expect(await getVersion(reads, 'ten_b', 'w', undefined)).toBeUndefined()
    expect(await getVersion(reads, 'ten_b', 'w', 2)).toBeUndefined()
    expect((await listVersions(reads, 'ten_a', 'w')).map(({ status }) => status)).toEqual(['published', 'draft'])
    const runs = await readAll((cursor) => listRuns(reads, 'ten_a', 'w', { limit: 1, cursor }))
    expect(runs.map(({ id, version, status }) => [id, version, status]).sort()).toEqual([
      ['wf.w.1', 1, 'completed'],
      ['wf.w.2', 1, 'requested'],
      ['wf.w.3', 2, 'requested'],
    ])
    expect((await listRuns(reads, 'ten_b', 'w', { limit: 10 })).items).toMatchObject([{ status: 'requested' }])
    expect((await listRuns(reads, 'ten_c', 'w', { limit: 10 })).items).toEqual([])
  })

  it('that were deleted are not there, and created again have nothing that runs', async () => {
    const published: WorkflowContextEvent = { type: 'WorkflowVersionPublished', data: { version: 1, by: 'k' } }
    await write('workflow', 'ten_a', 'gone', [
      created(1),
      published,
      requested('wf.gone.1'),
      { type: 'WorkflowDeleted', data: { by: 'k' } },
    ])
    await current()
    expect(await getWorkflow(reads, 'ten_a', 'gone')).toBeUndefined()
    expect(await getVersion(reads, 'ten_a', 'gone', 1)).toBeUndefined()
    expect((await listWorkflows(reads, 'ten_a', { limit: 100 })).items.map(({ id }) => id)).not.toContain('gone')
    await write('workflow', 'ten_a', 'gone', [ended('wf.gone.1'), created(2)])
    await current()
    expect(await getWorkflow(reads, 'ten_a', 'gone')).toMatchObject({
      publishedVersion: null,
      latestVersion: 2,
      activeRuns: 0,
    })
    expect((await listVersions(reads, 'ten_a', 'gone')).map(({ status }) => status)).toEqual(['deprecated', 'draft'])
    expect(await getVersion(reads, 'ten_a', 'gone', undefined)).toBeUndefined()
  })

  it('whose run is requested again, long after its end, count it once', async () => {
    await write('workflow', 'ten_a', 'again', [created(1), requested('wf.again.1'), ended('wf.again.1')])
    await write('workflow', 'ten_a', 'again', [requested('wf.again.1')])
    await current()
    expect(await getWorkflow(reads, 'ten_a', 'again')).toMatchObject({ activeRuns: 1 })
    const runs = async () => (await listRuns(reads, 'ten_a', 'again', { limit: 10 })).items
    expect(await runs()).toMatchObject([{ status: 'requested', ended: null, endedAt: null }])
    await write('workflow', 'ten_a', 'again', [ended('wf.again.1', 'refused')])
    await current()
    expect(await runs()).toMatchObject([{ status: 'refused' }])
    expect(await getWorkflow(reads, 'ten_a', 'again')).toMatchObject({ activeRuns: 0 })
  })

  it('have names of any characters', async () => {
    await write('workflow', 'ten_a', 'odd', [created(1, { name: 'a \0 "b" \\ \ud800', description: '\0' })])
    await current()
    expect(await getWorkflow(reads, 'ten_a', 'odd')).toMatchObject({ name: 'a \ufffd "b" \\ \ufffd', latestVersion: 1 })
    const { rows } = await pool.query("SELECT 1 FROM dead_letters WHERE projection = 'workflows'")
    expect(rows).toEqual([])
  })

  it.each([
    'nonsense',
    '2~x',
    'infinity~x',
    '0000-01-01T00:00:00.000Z~x',
    '2026-02-30T00:00:00.000Z~x',
    '+123456-01-01T00:00:00.000Z~x',
    '\0',
  ])('are paged by cursors that a list gave, not by %j', async (cursor) => {
    const refused = expect.objectContaining({ code: 'invalid_request' })
    await expect(listRuns(reads, 'ten_a', 'w', { limit: 1, cursor })).rejects.toEqual(refused)
    await expect(listFirings(reads, 'ten_a', 's', { limit: 1, cursor })).rejects.toEqual(refused)
    if (cursor !== '\0') return
    for (const list of [listWorkflows, listSchedules, listTriggers])
      await expect(list(reads, 'ten_a', { limit: 1, cursor })).rejects.toEqual(refused)
  })
})

describe('schedules', () => {
  it('tell what became of each moment; what waited when they are deleted does not wait any more', async () => {
    await write('schedule', 'ten_a', 's', [
      put('w', 0),
      fired(1_000, 'wf.w.s1'),
      { type: 'ScheduleQueued', data: { nominalAt: 2_000, late: false } },
      skipped(3_000, 5_000, 3),
      { type: 'ScheduledRunEnded', data: { runId: 'wf.w.s1', end: { status: 'failed', code: 'x' } } },
    ])
    await write('schedule', 'ten_b', 's', [put('w', 0), fired(1_000, 'wf.w.s1')])
    await current()
    expect(await getSchedule(reads, 'ten_a', 's')).toMatchObject({ fired: 1, skipped: 3, cursorAt: new Date(5_000) })
    const firings = () => readAll((cursor) => listFirings(reads, 'ten_a', 's', { limit: 1, cursor }))
    expect(await firings()).toMatchObject([
      { nominalAt: new Date(3_000), outcome: 'skipped', count: 3, reason: 'overlap' },
      { nominalAt: new Date(2_000), outcome: 'queued' },
      { nominalAt: new Date(1_000), outcome: 'fired', runId: 'wf.w.s1', ended: { status: 'failed' } },
    ])
    expect((await listFirings(reads, 'ten_b', 's', { limit: 10 })).items).toMatchObject([{ ended: null }])
    await write('schedule', 'ten_a', 's', [{ type: 'ScheduleDeleted', data: { by: 'k' } }])
    await current()
    expect(await getSchedule(reads, 'ten_a', 's')).toBeUndefined()
    expect((await firings())[1]).toMatchObject({ outcome: 'skipped', reason: 'deleted' })
    await write('schedule', 'ten_a', 's', [put('w', 9_000)])
    await current()
    expect(await getSchedule(reads, 'ten_a', 's')).toMatchObject({ status: 'active', fired: 1, skipped: 4 })
    expect(await getSchedule(reads, 'ten_b', 's')).toMatchObject({ skipped: 0 })
  })

  it('of one workflow are found, whatever their parameters are', async () => {
    await write('schedule', 'ten_a', 'odd', [put('odd', 0, { text: 'a \0 b' })])
    await write('schedule', 'ten_a', 'plain', [put('plain', 0)])
    await current()
    const found = async (workflow: string) =>
      (await listSchedules(reads, 'ten_a', { limit: 10, workflow })).items.map(({ id }) => id)
    expect([await found('plain'), await found('odd'), await found('none')]).toEqual([['plain'], ['odd'], []])
    await write('schedule', 'ten_a', 'plain', [put('odd', 0)])
    await current()
    expect([await found('plain'), await found('odd')]).toEqual([[], ['odd', 'plain']])
  })
})

describe('triggers', () => {
  it('count what they did; deleted they are not there, each for its tenant', async () => {
    await write('trigger', 'ten_a', 't', [
      trigger(),
      { type: 'TriggerFired', data: { eventId: 'e1', runId: 'wf.w.t1', parameters: { inline: {} } } },
      { type: 'TriggerIgnored', data: { eventId: 'e2', reason: 'filtered' } },
      { type: 'TriggerPaused', data: { by: 'k' } },
    ])
    await write('trigger', 'ten_b', 't', [trigger()])
    await current()
    expect(await getTrigger(reads, 'ten_a', 't')).toMatchObject({ fired: 1, ignored: 1, status: 'paused' })
    expect(await getTrigger(reads, 'ten_b', 't')).toMatchObject({ fired: 0, status: 'active' })
    await write('trigger', 'ten_a', 't', [{ type: 'TriggerDeleted', data: { by: 'k' } }])
    await current()
    expect(await getTrigger(reads, 'ten_a', 't')).toBeUndefined()
    expect((await listTriggers(reads, 'ten_a', { limit: 10 })).items).toEqual([])
    expect((await listTriggers(reads, 'ten_b', { limit: 10 })).items).toHaveLength(1)
  })
})

it('is built anew from the log to the same content', async () => {
  expect(await verify({ definition: workflowsProjection, log, pool })).toMatchObject({ equal: true, difference: null })
  expect(await rebuild({ definition: workflowsProjection, log, pool })).toMatchObject({ equal: true, switched: true })
})
