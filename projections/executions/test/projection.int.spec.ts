import { eventually, freshDatabase } from '@omium/dev/testing'
import { migrate } from '@omium/migrations'
import {
  createPool,
  createReads,
  type Reads,
  type RunningProjection,
  rebuild,
  runProjection,
  verify,
} from '@omium/projection-kit'
import { aggregateKey, type ExecutionEvent } from '@omium/schemas'
import type { Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { executionsProjection } from '../src/definition.ts'
import {
  getExecution,
  listAgents,
  listEngineEndpoints,
  listEvents,
  listExecutions,
  listFailures,
  listSteps,
} from '../src/queries.ts'
import { completed, requested, started, stepCompleted, writeRuns } from './histories.ts'
import { ScriptedLog } from './scripted-log.ts'

/** A real Postgres and a log whose accepted events the specs write themselves. */
const tenant = 'ten_a'
let databaseUrl: string
let pool: Pool
let reads: Reads
let running: RunningProjection[] = []

beforeEach(async () => {
  databaseUrl = await freshDatabase()
  await migrate(databaseUrl)
  pool = createPool(databaseUrl)
  reads = createReads(pool)
})
afterEach(async () => {
  await Promise.all(running.map((projection) => projection.close()))
  running = []
  await pool.end()
})

const project = async (log: ScriptedLog, more: { checkpointEvery?: number; maxRecords?: number } = {}) => {
  const projection = await runProjection({
    definition: executionsProjection,
    log: log.log,
    pool,
    databaseUrl,
    onNotice: () => undefined,
    assignmentIntervalMs: 50,
    ...more,
  })
  running.push(projection)
  return projection
}
const offsets = async () => {
  const { rows } = await pool.query<{ partition: number; next_offset: number }>(
    `SELECT partition, next_offset FROM projection_offsets JOIN projection_versions USING (projection, generation)
     WHERE live ORDER BY partition`,
  )
  return rows.map((row) => row.next_offset)
}
const caughtUp = (log: ScriptedLog, partitions = 1) =>
  eventually(async () => {
    expect(await offsets()).toEqual(Array.from({ length: partitions }, (_, p) => log.endOffset(p)))
  })
const countOf = async (table: string) =>
  Number((await pool.query(`SELECT count(*) AS n FROM executions.${table}`)).rows[0].n)
const keyOf = (id: string) => ({ aggregate: aggregateKey('execution', tenant, id) })
const failedStep: ExecutionEvent = {
  type: 'StepFailed',
  data: {
    attempt: 1,
    path: 'search#1',
    name: 'search',
    kind: 'tool',
    stepAttempt: 1,
    requestHash: 'h',
    error: { code: 'step_failed', detail: 'no network', retryable: true },
    retryAt: null,
    startedAt: 1,
    durationMs: 5,
  },
}

describe('the read models', () => {
  it('show an execution, its history, its timeline and its failures', async () => {
    const log = new ScriptedLog(1)
    await project(log)
    log.append(requested('r'), { commandId: 'cmd_1' })
    for (const event of [started(), stepCompleted(1), failedStep, completed()]) log.append(event, keyOf('r'))
    await caughtUp(log)
    expect(await getExecution(reads, tenant, 'r')).toMatchObject({
      status: 'completed',
      stepsCompleted: 1,
      costMicroCredits: 7,
      input: { inline: { topic: 'logs' } },
      output: { inline: 'done' },
      version: 5,
      offset: 4,
    })
    const events = await listEvents(reads, tenant, 'r', { afterVersion: 0, limit: 10 })
    expect(events.map(({ version, type }) => `${version} ${type}`)).toEqual([
      '1 ExecutionRequested',
      '2 ExecutionStarted',
      '3 StepCompleted',
      '4 StepFailed',
      '5 ExecutionCompleted',
    ])
    expect(events[0]).toMatchObject({ commandId: 'cmd_1', data: requested('r').data })
    const steps = await listSteps(reads, tenant, 'r', { limit: 10 })
    expect(steps.items.map(({ path, lastType }) => [path, lastType])).toEqual([
      ['step#1', 'StepCompleted'],
      ['search#1', 'StepFailed'],
    ])
    expect((await listFailures(reads, tenant, { limit: 10 })).items).toMatchObject([
      { executionId: 'r', agent: 'writer', code: 'step_failed', stepPath: 'search#1', final: true },
    ])
  })

  it('show the timeline without what a roll back made void, and with it when asked', async () => {
    const log = new ScriptedLog(1)
    await project(log)
    const requestHash = 'h'
    const timer: ExecutionEvent = {
      type: 'TimerStarted',
      data: { attempt: 1, path: 'sleep#1', requestHash, fireAt: 5 },
    }
    const back = (toPath: string | null, generation: number): ExecutionEvent => ({
      type: 'ExecutionRolledBack',
      data: { toPath, generation, by: 'key:1' },
    })
    const request = requested('r')
    const labelled = { ...request, data: { ...request.data, options: { priority: 0, labels: { team: 'a' } } } }
    log.append(labelled as ExecutionEvent)
    // the timer began before the point and had not settled by then
    for (const event of [started(), timer, stepCompleted(1), stepCompleted(2), { ...failedStep }, back('step#1', 1)]) {
      log.append(event, keyOf('r'))
    }
    await caughtUp(log)
    expect(await getExecution(reads, tenant, 'r')).toMatchObject({ stepsCompleted: 1 })
    const shown = async (superseded: boolean) =>
      (await listSteps(reads, tenant, 'r', { limit: 10, superseded })).items.map(
        ({ path, supersededBy }) => `${path}${supersededBy === null ? '' : ` void at ${supersededBy}`}`,
      )
    expect(await shown(false)).toEqual(['step#1'])
    expect(await shown(true)).toEqual(['sleep#1 void at 7', 'step#1', 'step#2 void at 7', 'search#1 void at 7'])
    const child = (childId: string): ExecutionEvent => ({
      type: 'ChildRequested',
      data: {
        attempt: 2,
        path: 'call#1',
        requestHash,
        childId,
        agentId: 'writer',
        input: { inline: 1 },
        options: { priority: 0 },
      },
    })
    const end: ExecutionEvent = {
      type: 'ChildFinished',
      data: { path: 'call#1', childId: 'kid', outcome: { status: 'cancelled' } },
    }
    for (const event of [started(2), child('kid'), back('step#1', 2), child('kid.g2'), end])
      log.append(event, keyOf('r'))
    await caughtUp(log)
    const [called] = (await listSteps(reads, tenant, 'r', { limit: 10 })).items.filter(({ path }) => path === 'call#1')
    expect(called?.lastType).toBe('ChildRequested')
    for (const event of [started(3), stepCompleted(2), back(null, 3)]) log.append(event, keyOf('r'))
    await caughtUp(log)
    expect(await shown(false)).toEqual([])
    expect(await getExecution(reads, tenant, 'r')).toMatchObject({ status: 'queued', generation: 3, stepsCompleted: 0 })
    const listed = async (label: string) =>
      (await listExecutions(reads, tenant, { limit: 5, labels: { team: label } })).items
    expect([await listed('a'), await listed('b')]).toMatchObject([[{ id: 'r' }], []])
    const without = async (withoutLabel: string) =>
      (await listExecutions(reads, tenant, { limit: 5, withoutLabel })).items.map(({ id }) => id)
    expect([await without('team'), await without('replay')]).toEqual([[], ['r']])
  })

  it('are empty for another tenant', async () => {
    const log = new ScriptedLog(1)
    await project(log)
    log.append(requested('r'))
    log.append(failedStep, keyOf('r'))
    await caughtUp(log)
    expect(await getExecution(reads, 'ten_b', 'r')).toBeUndefined()
    expect(await listEvents(reads, 'ten_b', 'r', { afterVersion: 0, limit: 10 })).toEqual([])
    const page = { limit: 10 }
    expect((await listExecutions(reads, 'ten_b', page)).items).toEqual([])
    expect((await listFailures(reads, 'ten_b', page)).items).toEqual([])
    expect((await listSteps(reads, 'ten_b', 'r', page)).items).toEqual([])
    expect((await listAgents(reads, 'ten_b', page)).items).toEqual([])
  })

  it('list newest first in pages without repeats, and refuse a cursor that they never gave', async () => {
    const log = new ScriptedLog(1)
    await project(log)
    // pairs share a time: the id decides
    for (let i = 0; i < 25; i++) log.append(requested(`r-${i}`), { time: 1_700_000_000_000 + (i >> 1) })
    await caughtUp(log)
    const ids: string[] = []
    for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
      const page = await listExecutions(reads, tenant, { limit: 7, cursor, agent: 'writer', status: 'queued' })
      ids.push(...page.items.map(({ id }) => id))
      cursor = page.nextCursor
    }
    expect(ids).toHaveLength(25)
    expect(new Set(ids).size).toBe(25)
    expect(ids[0]).toBe('r-24')
    for (const cursor of [
      'x',
      Buffer.from('["a"]').toString('base64url'),
      Buffer.from('["a","b"]').toString('base64url'),
    ]) {
      await expect(listExecutions(reads, tenant, { limit: 7, cursor })).rejects.toMatchObject({
        code: 'invalid_request',
      })
    }
  })

  it('keep what was recorded as it was, with U+0000, lone surrogates and the spelling of numbers', async () => {
    const log = new ScriptedLog(1)
    await project(log)
    const odd = { nul: 'a\0b', lone: '\ud800', tab: 'a\tb\n\\', big: 1e300, order: { z: 1, a: 2 } }
    log.append(requested('r'))
    log.append(stepCompleted(1, odd), keyOf('r'))
    log.append(completed(odd), keyOf('r'))
    await caughtUp(log)
    const [, step] = await listEvents(reads, tenant, 'r', { afterVersion: 0, limit: 10 })
    expect(step?.data).toMatchObject({ output: { inline: odd } })
    const stored = await getExecution(reads, tenant, 'r')
    expect(stored?.output).toEqual({ inline: odd })
    expect(JSON.stringify(stored?.output)).toContain('"order":{"z":1,"a":2}')
  })

  it('know the owner of each partition and where agents come from', async () => {
    const log = new ScriptedLog(2)
    await project(log)
    const claim = (owner: string, endpoint: string) =>
      ({ type: 'PartitionClaimed', data: { owner, endpoint } }) as const
    log.append(claim('e1', 'ws://127.0.0.1:1'), { partition: 0 })
    log.append(claim('e1', 'ws://127.0.0.1:1'), { partition: 1 })
    log.append(claim('e2', 'ws://127.0.0.1:2'), { partition: 1 })
    log.append(
      {
        type: 'AgentRegistered',
        data: { definition: { agentId: 'writer', description: 'writes' }, definitionHash: 'x' },
      },
      { aggregate: aggregateKey('agent', tenant, 'writer') },
    )
    await caughtUp(log, 2)
    expect(await listEngineEndpoints(reads)).toEqual(['ws://127.0.0.1:1', 'ws://127.0.0.1:2'])
    expect((await listAgents(reads, tenant, { limit: 5 })).items).toMatchObject([
      { agent: 'writer', definitionHash: 'x' },
    ])
  })
})

describe('records that cannot be applied', () => {
  it('go to the dead letters with their reason, one by one, and the rest goes on', async () => {
    const log = new ScriptedLog(1)
    log.append(requested('good'))
    log.append(started(), keyOf('orphan'))
    // Postgres refuses an attempt beyond its integers
    log.append(requested('bad'))
    log.append(started(3_000_000_000), keyOf('bad'))
    for (let i = 0; i < 40; i++) log.append(stepCompleted(i), keyOf('good'))
    await project(log)
    await caughtUp(log)
    const { rows } = await pool.query('SELECT log_offset, type, code, detail FROM dead_letters ORDER BY log_offset')
    expect(rows).toMatchObject([
      { log_offset: 1, type: 'ExecutionStarted', code: 'record_unfoldable', detail: expect.stringMatching(/before/) },
      {
        log_offset: 3,
        type: 'ExecutionStarted',
        code: 'record_unfoldable',
        detail: expect.stringMatching(/out of range/),
      },
    ])
    expect(await getExecution(reads, tenant, 'good')).toMatchObject({ stepsCompleted: 40 })
    expect(await getExecution(reads, tenant, 'bad')).toMatchObject({ status: 'queued', version: 1 })
  })
})

describe('a parked execution', () => {
  it('is among the failures, with why', async () => {
    const log = new ScriptedLog(1)
    await project(log)
    log.append(requested('r'))
    log.append(
      { type: 'AggregateParked', data: { offset: 0, code: 'record_undecodable', detail: 'no such schema' } },
      keyOf('r'),
    )
    await caughtUp(log)
    expect((await listFailures(reads, tenant, { limit: 5 })).items).toMatchObject([
      { executionId: 'r', code: 'execution_parked', detail: 'no such schema', final: false },
    ])
  })
})

describe('offsets', () => {
  it('go on from where they stand after a restart, with the stored checkpoint of the fold', async () => {
    const log = new ScriptedLog(1, 10)
    writeRuns(log, 'first', 10)
    const first = await project(log, { checkpointEvery: 50 })
    await caughtUp(log)
    await first.close()
    writeRuns(log, 'second', 10)
    await project(log)
    await caughtUp(log)
    expect(log.opened[1]).toMatchObject({ fromOffset: 130, checkpoint: expect.any(Number) })
    expect(log.opened[1]?.checkpoint).toBeGreaterThan(0)
    expect(await countOf('events')).toBe(260)
    expect((await listExecutions(reads, tenant, { limit: 100, status: 'completed' })).items).toHaveLength(20)
  })

  it('are refused below and beyond the stored one: an intruder makes the projection start anew from the database', async () => {
    const log = new ScriptedLog(1)
    const projection = await project(log)
    log.append(requested('a'))
    await caughtUp(log)
    // somebody else has applied the next event: its own copy of it must not be applied again
    await pool.query('UPDATE projection_offsets SET next_offset = 2')
    log.append(requested('b'))
    log.append(requested('c'))
    await caughtUp(log)
    expect(await getExecution(reads, tenant, 'b')).toBeUndefined()
    expect(await getExecution(reads, tenant, 'c')).toBeDefined()
    expect((await projection.metrics.restarts.get()).values[0]?.value).toBeGreaterThan(0)
  })

  it('move once for each event although two instances run and partitions change hands', async () => {
    const log = new ScriptedLog(4, 7)
    const first = await project(log, { maxRecords: 20 })
    await eventually(() => expect(first.partitions).toEqual([0, 1, 2, 3]))
    writeRuns(log, 'w1', 20, 4)
    const second = await project(log, { maxRecords: 20 })
    writeRuns(log, 'w2', 20, 4)
    await eventually(() => {
      expect(first.partitions).toHaveLength(2)
      expect(second.partitions).toHaveLength(2)
    })
    expect(new Set([...first.partitions, ...second.partitions]).size).toBe(4)
    writeRuns(log, 'w3', 20, 4)
    await first.close()
    writeRuns(log, 'w4', 20, 4)
    await caughtUp(log, 4)
    expect(await countOf('events')).toBe(80 * 13)
    expect((await listExecutions(reads, tenant, { limit: 200, status: 'completed' })).items).toHaveLength(80)
    expect((await verify({ definition: executionsProjection, log: log.log, pool })).equal).toBe(true)
  })

  it('survive the loss of every connection', async () => {
    const log = new ScriptedLog(2, 5)
    await project(log, { maxRecords: 10 })
    for (let wave = 0; wave < 5; wave++) {
      writeRuns(log, `w${wave}`, 10, 2)
      await pool.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
      )
    }
    await caughtUp(log, 2)
    expect(await countOf('events')).toBe(50 * 13)
    expect((await verify({ definition: executionsProjection, log: log.log, pool })).equal).toBe(true)
  })
})

describe('rebuild and verify', () => {
  it('agree with the live read model while it is being written, and readers see the new one', async () => {
    const log = new ScriptedLog(2, 50)
    await project(log)
    writeRuns(log, 'before', 50, 2)
    await caughtUp(log, 2)
    let wave = 0
    let writing = true
    const writer = (async () => {
      while (writing) {
        writeRuns(log, `during-${wave++}`, 5, 2)
        // no further ahead than any machine can follow
        await caughtUp(log, 2)
      }
    })()
    const verified = await verify({ definition: executionsProjection, log: log.log, pool })
    const rebuilt = await rebuild({ definition: executionsProjection, log: log.log, pool })
    const again = await rebuild({ definition: executionsProjection, log: log.log, pool })
    writing = false
    await writer
    expect(verified).toMatchObject({ equal: true, difference: null })
    expect(rebuilt).toMatchObject({ equal: true, switched: true, generation: 2 })
    expect(again).toMatchObject({ equal: true, switched: true, generation: 3 })
    await caughtUp(log, 2)
    expect(await countOf('executions')).toBe(50 + wave * 5)
    expect(await countOf('events')).toBe((50 + wave * 5) * 13)
    const { rows } = await pool.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'executions%'")
    const { rows: walls } = await pool.query(
      `SELECT relrowsecurity AND has_table_privilege('omium_app', oid, 'SELECT') AS walled FROM pg_class
       WHERE oid = 'executions.events'::regclass`,
    )
    expect(walls).toEqual([{ walled: true }])
    expect(rows).toEqual([{ nspname: 'executions' }])
    expect((await verify({ definition: executionsProjection, log: log.log, pool })).equal).toBe(true)
  })

  it('name the first row that differs, switch only when told to, and repair it then', async () => {
    const log = new ScriptedLog(1)
    await project(log)
    writeRuns(log, 'r', 10)
    await caughtUp(log)
    await pool.query("UPDATE executions.executions SET status = 'failed' WHERE id = 'r-3'")
    await pool.query("DELETE FROM executions.events WHERE execution_id = 'r-5' AND version = 4")
    const options = { definition: executionsProjection, log: log.log, pool }
    const found = await verify(options)
    expect(found.equal).toBe(false)
    expect(found.difference).toMatchObject({ table: 'executions', key: { tenant, id: 'r-3' } })
    expect(await rebuild(options)).toMatchObject({ equal: false, switched: false })
    expect(await getExecution(reads, tenant, 'r-3')).toMatchObject({ status: 'failed' })
    expect(await rebuild({ ...options, acceptDifference: true })).toMatchObject({ switched: true })
    expect(await getExecution(reads, tenant, 'r-3')).toMatchObject({ status: 'completed' })
    expect(await countOf('events')).toBe(130)
    expect((await verify(options)).equal).toBe(true)
  })
})
