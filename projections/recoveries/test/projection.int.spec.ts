import { eventually, freshDatabase, stackSettings } from '@omium/dev/testing'
import { HistoryWriter } from '@omium/log/testing'
import { migrate } from '@omium/migrations'
import {
  createPool,
  createReads,
  openLog,
  type Reads,
  type RunningProjection,
  rebuild,
  runProjection,
  verify,
} from '@omium/projection-kit'
import { aggregateKey, OmiumError, type RecoveryContextEvent, recoveryContext } from '@omium/schemas'
import type { Pool } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { recoveriesProjection } from '../src/definition.ts'
import {
  getIncident,
  incidentHistory,
  listGroups,
  listIncidents,
  listPolicies,
  policyVersions,
  recoveryStatistics,
} from '../src/queries.ts'
import { applied, escalated, failed, opened, planned, published, succeeded } from './histories.ts'

/** The real log and a real database. */
const partitions = 2
const since = new Date(0)
let pool: Pool
let reads: Reads
let databaseUrl: string
let log: Awaited<ReturnType<typeof openLog>>
let writer: HistoryWriter
let projection: RunningProjection

const write = (type: 'incident' | 'policy', tenant: string, id: string, ...events: RecoveryContextEvent[]) =>
  writer.write(aggregateKey(type, tenant, id), events)

beforeAll(async () => {
  databaseUrl = await freshDatabase()
  await migrate(databaseUrl)
  pool = createPool(databaseUrl)
  reads = createReads(pool)
  const env = {
    ...stackSettings(),
    OMIUM_PARTITIONS: String(partitions),
  }
  const quiet = () => undefined
  log = await openLog(env, recoveryContext, 'recoveries-spec', quiet)
  writer = await HistoryWriter.open(log.context, partitions)
  projection = await runProjection({ definition: recoveriesProjection, log, pool, databaseUrl, onNotice: quiet })
})
afterAll(async () => {
  await projection?.close()
  await writer?.close()
  await log?.close()
  await pool?.end()
})

it('keeps incidents, their history, what was tried, and policies, each for its tenant', async () => {
  for (let i = 0; i < 5; i++) {
    await write(
      'incident',
      'ten_a',
      `run-${i}.1`,
      opened(`run-${i}`),
      planned(),
      applied(),
      failed(),
      planned(2),
      applied(2),
    )
    if (i < 4) await write('incident', 'ten_a', `run-${i}.1`, succeeded(2, 100 * (i + 1)))
  }
  await write(
    'incident',
    'ten_a',
    'odd.1',
    opened('odd', 'a \0 and a \\ "quote"', 'e'.repeat(16)),
    planned(1, 'ask_person'),
    escalated(),
  )
  await write('incident', 'ten_b', 'run-0.1', opened('run-0'), planned())
  await write('policy', 'ten_a', 'mine', published(1), published(2))
  await write('policy', 'ten_a', 'gone', published(1), { type: 'RecoveryPolicyRetired', data: { by: 'key:spec' } })

  await eventually(async () => {
    expect((await listIncidents(reads, 'ten_a', { limit: 50 })).items).toHaveLength(6)
    expect((await listIncidents(reads, 'ten_a', { limit: 50, status: 'succeeded' })).items).toHaveLength(4)
    expect(await getIncident(reads, 'ten_b', 'run-0.1')).toMatchObject({ status: 'planned', plan: 1 })
    expect((await listPolicies(reads, 'ten_a', { limit: 10 })).items).toHaveLength(2)
    expect(await getIncident(reads, 'ten_a', 'odd.1')).toMatchObject({ status: 'escalated' })
  })

  expect((await incidentHistory(reads, 'ten_a', 'run-0.1')).map(({ type }) => type)).toEqual([
    'IncidentOpened',
    'RecoveryPlanned',
    'RecoveryApplied',
    'RecoveryFailed',
    'RecoveryPlanned',
    'RecoveryApplied',
    'RecoverySucceeded',
  ])
  expect(await incidentHistory(reads, 'ten_b', 'run-0.1')).toHaveLength(2)
  expect(await getIncident(reads, 'ten_b', 'run-1.1')).toBeUndefined()

  const pages: string[] = []
  for (let cursor: string | undefined; ; ) {
    const { items, nextCursor } = await listIncidents(reads, 'ten_a', { limit: 2, cursor })
    pages.push(...items.map(({ id }) => id))
    cursor = nextCursor
    if (!cursor) break
  }
  expect(new Set(pages).size).toBe(6)
  await expect(listIncidents(reads, 'ten_a', { limit: 2, cursor: 'nonsense' })).rejects.toBeInstanceOf(OmiumError)
  expect((await listIncidents(reads, 'ten_a', { limit: 50, execution: 'odd' })).items).toMatchObject([
    { status: 'escalated' },
  ])

  expect(await listGroups(reads, 'ten_a', { since, limit: 10 })).toMatchObject([
    { incidents: 5, open: 1, recovered: 4, runs: 5, class: 'tool_error', detail: 'the shop is closed' },
    { incidents: 1, open: 1, runs: 1 },
  ])
  expect(await recoveryStatistics(reads, 'ten_a', { since })).toMatchObject([
    { class: 'tool_error', strategy: 'retry', tries: 9, successes: 4, recoveredInP50Ms: 250 },
  ])
  expect(await recoveryStatistics(reads, 'ten_b', { since })).toEqual([])
  expect(
    (await policyVersions(reads, 'ten_a', 'mine', { limit: 10 })).items.map(({ version, head, policy }) => [
      version,
      head,
      policy.models,
    ]),
  ).toEqual([
    [2, 2, ['model-2']],
    [1, 2, ['model-1']],
  ])
  const first = await policyVersions(reads, 'ten_a', 'mine', { limit: 1 })
  const second = await policyVersions(reads, 'ten_a', 'mine', { limit: 1, cursor: first.nextCursor })
  expect([first, second].map(({ items }) => items.map(({ version }) => version))).toEqual([[2], [1]])
  expect(second.nextCursor).toBeUndefined()
  expect((await policyVersions(reads, 'ten_b', 'mine', { limit: 10 })).items).toEqual([])
  expect((await listPolicies(reads, 'ten_a', { limit: 10 })).items.map(({ name, retired }) => [name, retired])).toEqual(
    [
      ['gone', true],
      ['mine', false],
    ],
  )
})

it('is built anew from the log to the same content', async () => {
  expect(await verify({ definition: recoveriesProjection, log, pool })).toMatchObject({ equal: true, difference: null })
  expect(await rebuild({ definition: recoveriesProjection, log, pool })).toMatchObject({ equal: true, switched: true })
})
