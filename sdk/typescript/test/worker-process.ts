/**
 * A process for specs: a worker against a scripted engine. Runs an agent that leaves a rejection behind and one that does
 * not, prints both outcomes as one line of JSON, then stays until a signal ends it.
 */
import { pino } from 'pino'
import { z } from 'zod'
import { agent, worker } from '../src/index.ts'
import { ScriptedEngine } from './scripted-engine.ts'

const stray = agent({
  id: 'stray',
  input: z.null(),
  async run(_, ctx) {
    await ctx.step('before', () => 1)
    void Promise.reject(new RangeError('nobody handles this'))
    await ctx.sleep('1h')
  },
})
const fine = agent({ id: 'fine', input: z.null(), run: async (_, ctx) => ctx.step('only', () => 'fine') })

const engine = await ScriptedEngine.listen()
const host = worker({
  agents: [stray, fine],
  url: engine.url,
  apiKey: 'om_test_key',
  logger: pino({ level: 'silent' }),
})
await host.start()
const outcomes = [await engine.run('stray', stray, null), await engine.run('fine', fine, null)]
process.stdout.write(`${JSON.stringify(outcomes)}\n`)
process.once('beforeExit', () => engine.close())
