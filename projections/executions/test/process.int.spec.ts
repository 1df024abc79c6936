import { eventually, freshDatabase, type ServiceHandle, spawnService, stackSettings } from '@omium/dev/testing'
import { partitionFor } from '@omium/log'
import { HistoryWriter } from '@omium/log/testing'
import { migrate } from '@omium/migrations'
import { createPool, openLog } from '@omium/projection-kit'
import { aggregateKey, eventsTopic, executionContext } from '@omium/schemas'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rebuild, verify } from '../src/maintenance.ts'
import { completed, requested, started, stepCompleted } from './histories.ts'

/** Projection processes on the real log, killed with SIGKILL while it is written. */
const partitions = 3
const tenant = 'ten_a'
const kills = 4
/** runs that are written and not projected yet */
const mostAhead = 500

let env: Record<string, string>
let databaseUrl: string
let pool: Pool
let log: Awaited<ReturnType<typeof openLog>>
let writer: HistoryWriter
const processes: ServiceHandle[] = []

const spawn = async () => {
  const service = await spawnService('projections/service/src/main.ts', env, { readyLine: /"msg":"projecting"/ })
  processes.push(service)
  return service
}
const run = (id: string) => aggregateKey('execution', tenant, id)
const runHistory = (id: string) => [
  requested(id),
  started(),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => stepCompleted(n)),
  completed(),
]

beforeAll(async () => {
  databaseUrl = await freshDatabase()
  await migrate(databaseUrl)
  pool = createPool(databaseUrl)
  env = {
    ...stackSettings(),
    OMIUM_PARTITIONS: String(partitions),
    OMIUM_DATABASE_URL: databaseUrl,
    OMIUM_PROJECTIONS: 'executions',
    OMIUM_PROJECTIONS_PORT: '0',
  }
  log = await openLog(env, executionContext, 'projection-spec', () => undefined)
  writer = await HistoryWriter.open(log.context, partitions)
})
afterAll(async () => {
  await Promise.all(processes.filter((service) => !service.hasExited()).map((service) => service.stop()))
  await writer?.close()
  await log?.close()
  await pool?.end()
})

const topic = () => eventsTopic(env['OMIUM_TOPIC_PREFIX'] as string, 'execution')
const caughtUp = () =>
  eventually(
    async () => {
      const ends = await log.context.transport.endOffsets(topic())
      const { rows } = await pool.query<{ partition: number; next_offset: number }>(
        `SELECT partition, next_offset FROM projection_offsets JOIN projection_versions USING (projection, generation) WHERE live`,
      )
      expect(new Map(rows.map((row) => [row.partition, row.next_offset]))).toEqual(ends)
    },
    { timeoutMs: 60_000, intervalMs: 100 },
  )

const applied = async () =>
  (await pool.query<{ runs: number }>('SELECT count(*)::int AS runs FROM executions.executions')).rows[0]?.runs ?? 0

describe('projection processes', () => {
  it('apply every accepted event exactly once across kill -9, two instances and garbage on the topic', async () => {
    let current = await spawn()
    await spawn()
    let runs = 0
    let writing = true
    const load = (async () => {
      while (writing) {
        await Promise.all(
          Array.from({ length: 10 }, () => {
            const id = `run-${runs++}`
            return writer.write(run(id), runHistory(id))
          }),
        )
        // no further ahead than any machine can follow
        await eventually(async () => !writing || (await applied()) > runs - mostAhead, { timeoutMs: 60_000 })
      }
    })()
    const producer = await log.context.transport.openProducer()
    for (let kill = 0; kill < kills; kill++) {
      const before = runs
      await eventually(() => expect(runs).toBeGreaterThan(before + 50), { timeoutMs: 60_000 })
      const garbage = { key: 'x', headers: { type: 'nonsense' }, value: Buffer.from('{') }
      await producer.append([{ topic: topic(), partition: kill % partitions, records: [garbage] }])
      await current.kill('SIGKILL')
      current = await spawn()
    }
    writing = false
    await load
    await producer.close()

    await caughtUp()
    const { rows } = await pool.query(
      `SELECT count(*)::int AS runs, sum(steps_completed)::int AS steps, count(*) FILTER (WHERE status = 'completed')::int AS completed
       FROM executions.executions`,
    )
    expect(rows[0]).toEqual({ runs, steps: runs * 10, completed: runs })
    expect((await pool.query('SELECT count(*)::int AS n FROM executions.events')).rows).toEqual([{ n: runs * 13 }])
    expect((await pool.query('SELECT count(*)::int AS n FROM dead_letters')).rows).toEqual([{ n: kills }])
    expect(await verify({ env, databaseUrl })).toMatchObject({ equal: true, difference: null })
  }, 240_000)

  it('go on through a rebuild that a third process makes', async () => {
    let writing = true
    let extra = 0
    const load = (async () => {
      while (writing) {
        const id = `rebuild-${extra++}`
        await writer.write(run(id), runHistory(id))
      }
    })()
    const result = await rebuild({ env, databaseUrl })
    writing = false
    await load
    expect(result).toMatchObject({ equal: true, switched: true })
    await caughtUp()
    expect(await verify({ env, databaseUrl })).toMatchObject({ equal: true })
    const { rows } = await pool.query("SELECT count(*)::int AS n FROM executions.executions WHERE id LIKE 'rebuild-%'")
    expect(rows).toEqual([{ n: extra }])
  }, 240_000)

  it('keep a record that nobody can decode as a dead letter and go on', async () => {
    // any reader takes it for the first event of a new execution; its payload is nonsense
    const partition = partitionFor(run('broken'), partitions)
    const envelope = {
      id: 'evt_broken',
      type: 'ExecutionRequested',
      schemaVersion: 1,
      tenant,
      aggregate: run('broken'),
      correlationId: 'spec',
      actor: 'system',
      time: 1,
      version: 1,
      epoch: writer.owned.get(partition)?.epoch ?? 0,
    }
    const encoded = log.context.codec.encodeEvent(envelope, requested('broken').data)
    const producer = await log.context.transport.openProducer()
    await producer.append([{ topic: topic(), partition, records: [{ ...encoded, value: Buffer.from('nonsense') }] }])
    await producer.close()
    await caughtUp()
    const { rows } = await pool.query(
      `SELECT code FROM dead_letters WHERE partition = $1 AND log_offset = (
         SELECT next_offset - 1 FROM projection_offsets JOIN projection_versions USING (projection, generation)
         WHERE live AND partition = $1)`,
      [partition],
    )
    expect(rows).toEqual([{ code: 'record_undecodable' }])
  })

  it('say in one line what is wrong when they cannot start', async () => {
    const failed = await spawnService('projections/service/src/main.ts', {
      ...env,
      OMIUM_KAFKA_BROKERS: '127.0.0.1:1',
    })
    expect(await failed.exited).toMatchObject({ code: 1 })
    expect(failed.output()).toContain('log_unreachable')
  })
})
