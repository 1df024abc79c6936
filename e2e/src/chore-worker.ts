import { worker } from '@omium/sdk'
import { choresAgent } from './chores.ts'

/** A worker process that does chores: reads OMIUM_URL, OMIUM_API_KEY and OMIUM_WORK_LOG. */
const workLog = process.env['OMIUM_WORK_LOG']
if (!workLog) throw new Error('OMIUM_WORK_LOG names the file of what was done')
await worker({ agents: [choresAgent(workLog)], slots: 20 }).start()
process.stdout.write('worker started\n')
