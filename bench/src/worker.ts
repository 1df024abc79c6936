import { worker } from '@omium/sdk'
import { pino } from 'pino'
import { pacedSteps, tenSteps } from './agents.ts'

/** A worker in a process of its own. Says `worker <id>` on standard output once an engine has welcomed it. */
const bench = worker({
  agents: [tenSteps, pacedSteps],
  slots: Number(process.env['OMIUM_WORKER_SLOTS'] ?? 2000),
  logger: pino({ level: 'warn' }),
})
await bench.start()
process.stdout.write(`worker ${bench.id}\n`)
