import { modelName } from '@omium/model-server'
import { defaultPrices, worker } from '@omium/sdk'
import { researcher, researchTeam } from './agents.ts'

/**
 * A worker process that runs the research team: `node examples/research-team/src/worker.ts`. Reads OMIUM_URL, OMIUM_API_KEY,
 * OPENAI_BASE_URL and OPENAI_API_KEY. Started with an IPC channel it reports its id there, and ends with its parent.
 */
const slots = Number(process.env['OMIUM_WORKER_SLOTS'] ?? 8)

/** The local model costs nothing; a price in its name lets the demo show how costs are recorded. */
const prices = {
  version: `${defaultPrices.version}+demo`,
  models: { ...defaultPrices.models, [modelName]: { input: 0.4, output: 1.6 } },
}

const team = worker({ agents: [researchTeam, researcher], slots, llm: { prices } })
process.once('disconnect', () => process.exit(0))
await team.start()
process.send?.({ workerId: team.id })
