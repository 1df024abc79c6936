/**
 * DBOS Transact: a workflow of ten steps, run as a library inside the client process, on the PostgreSQL database that
 * PEER_DATABASE_URL names. Its steps are what Omium's are: an async function that returns a small JSON value.
 */
import { DBOS } from '@dbos-inc/dbos-sdk'
import pg from 'pg'
import { runLoad } from '../src/load.ts'
import { concurrency, measureMs, report, stepsPerWorkflow, warmupMs } from './arguments.mjs'

const database = new pg.Client({ connectionString: process.env.PEER_DATABASE_URL })
await database.connect()
const { rows } = await database.query(
  "SELECT version(), current_setting('synchronous_commit') AS commit, current_setting('fsync') AS fsync",
)
await database.end()

// A database of its own on the same server; DBOS creates it.
const systemDatabaseUrl = new URL(process.env.PEER_DATABASE_URL)
systemDatabaseUrl.pathname = '/omium_bench_dbos'
DBOS.setConfig({ name: 'omium-bench', systemDatabaseUrl: systemDatabaseUrl.href, logLevel: 'error' })
const tenSteps = DBOS.registerWorkflow(
  async (start) => {
    let value = start
    for (let step = 0; step < stepsPerWorkflow; step++)
      value = (await DBOS.runStep(async () => ({ value: value + 1 }), { name: `step-${step}` })).value
    return value
  },
  { name: 'ten-steps' },
)
await DBOS.launch()
report({
  system: 'DBOS 5.3.0',
  durability: `${rows[0].version.split(' ').slice(0, 2).join(' ')}, synchronous_commit=${rows[0].commit}, fsync=${rows[0].fsync}`,
})
for (const level of concurrency) {
  const row = await runLoad({
    concurrency: level,
    stepsPerWorkflow,
    warmupMs,
    measureMs,
    runWorkflow: async () => {
      const handle = await DBOS.startWorkflow(tenSteps)(1)
      const result = await handle.getResult()
      if (result !== 1 + stepsPerWorkflow) throw new Error(`wrong result ${result}`)
    },
  })
  report({ row })
}
await DBOS.shutdown()
process.exit(0)
