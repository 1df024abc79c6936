import { omium, worker } from '@omium/sdk'
import { greeter } from './agents.ts'

/** A worker and a client in one process: `node --env-file=.omium/run/environment examples/quickstart/src/main.ts Ada Grace`. */
const local = worker({ agents: [greeter], slots: 4 })
await local.start()
const names = process.argv.length > 2 ? process.argv.slice(2) : ['Ada', 'Grace']
const run = await omium().start(greeter, { names })
console.log(await run.result())
await local.drain()
await local.stop()
