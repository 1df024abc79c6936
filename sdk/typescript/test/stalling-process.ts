/** A process for specs: a worker whose only run never gives the event loop back. */
import { pino } from 'pino'
import { z } from 'zod'
import { agent, worker } from '../src/index.ts'
import { ScriptedEngine } from './scripted-engine.ts'

const endless = agent({
  id: 'endless',
  input: z.null(),
  run: async (_, ctx) =>
    ctx.step('loop', () => {
      for (;;);
    }),
})
const engine = await ScriptedEngine.listen()
const host = worker({
  agents: [endless],
  url: engine.url,
  apiKey: 'om_test_key',
  logger: pino({ level: 'silent' }),
  stallTimeoutMs: 1000,
})
await host.start()
// a while without a stall: the watch must not take that for one
setTimeout(() => {
  process.stdout.write('stalling\n')
  void engine.run('run', endless, null)
}, 1500)
