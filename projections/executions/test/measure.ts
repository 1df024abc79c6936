import { performance } from 'node:perf_hooks'
import { migrate } from '@omium/migrations'
import { copyRows, createPool, runProjection } from '@omium/projection-kit'
import { readSettings } from '@omium/schemas'
import { executionsProjection } from '../src/definition.ts'
import { eventColumns, eventRow } from '../src/rows.ts'
import { writeRuns } from './histories.ts'
import { ScriptedLog } from './scripted-log.ts'

/**
 * How fast the projection writes: ten-step runs, 1000 at a time, from memory into a fresh database on the server of
 * OMIUM_DATABASE_URL. Prints events/s and this process's CPU use; the server uses CPU of its own.
 */
const { OMIUM_DATABASE_URL } = readSettings(process.env, ['OMIUM_DATABASE_URL'])
const admin = createPool(OMIUM_DATABASE_URL, { max: 1 })
const name = `measure_${process.pid}`
await admin.query(`CREATE DATABASE ${name}`)
const url = new URL(OMIUM_DATABASE_URL)
url.pathname = `/${name}`
const databaseUrl = url.href
await migrate(databaseUrl)
const pool = createPool(databaseUrl)
const say = (fields: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(fields)}\n`)

const measured = async (label: string, events: number, work: () => Promise<void>) => {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await work()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  say({
    label,
    events,
    seconds: Number(seconds.toFixed(2)),
    eventsPerSecond: Math.round(events / seconds),
    cpuShare: Number(((user + system) / 1e6 / seconds).toFixed(2)),
  })
}

try {
  const log = new ScriptedLog(4)
  let events = 0
  for (let wave = 0; wave < 20; wave++) events += writeRuns(log, `wave${wave}`, 1000, 4)
  await measured('projection: events and executions', events, async () => {
    const running = await runProjection({
      definition: executionsProjection,
      log: log.log,
      pool,
      databaseUrl,
      onNotice: (notice) => notice.level !== 'info' && say({ ...notice }),
    })
    for (;;) {
      const { rows } = await pool.query<{ done: number }>(
        'SELECT coalesce(sum(next_offset), 0)::bigint AS done FROM projection_offsets',
      )
      if (rows[0]?.done === events) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await running.close()
  })

  const sample = new ScriptedLog(1)
  writeRuns(sample, 'sample', 2000)
  const rows: ReturnType<typeof eventRow>[] = []
  const tail = await sample.log.openTail(sample.log.context, [{ partition: 0, fromOffset: 0 }])
  while (rows.length < sample.endOffset(0)) {
    for (const event of (await tail.next())?.events ?? []) {
      rows.push(eventRow(event.envelope.aggregate.split('/')[1] ?? '', event))
    }
  }
  const client = await pool.connect()
  const types = [
    'text',
    'text',
    'int',
    'text',
    'text',
    'timestamptz',
    'text',
    'text',
    'int',
    'bigint',
    'json',
    'text',
    'text',
    'text',
    'int',
    'int',
    'timestamptz',
    'float8',
    'text',
    'bigint',
    'bigint',
    'bigint',
  ]
  for (const size of [100, 1000, 5000]) {
    for (const how of ['copy', 'unnest'] as const) {
      await client.query('TRUNCATE executions.events')
      await measured(`events table only, ${how}, ${size} a statement`, rows.length, async () => {
        for (let at = 0; at < rows.length; at += size) {
          const chunk = rows.slice(at, at + size)
          if (how === 'copy') await copyRows(client, 'executions.events', eventColumns, chunk)
          else {
            await client.query(
              `INSERT INTO executions.events (${eventColumns.join(', ')}) SELECT * FROM unnest(${types.map((type, i) => `$${i + 1}::${type}[]`).join(', ')})`,
              types.map((_, i) => chunk.map((row) => row[i] ?? null)),
            )
          }
        }
      })
    }
  }
  client.release()
} finally {
  await pool.end()
  await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)
  await admin.end()
}
