import { runCapability, systemClock } from '@omium/kit'
import { executionContext, recoveryContext } from '@omium/schemas'
import { readConfig } from './config.ts'
import { createEffectHistory } from './effect-history.ts'
import { followRuns } from './follow-runs.ts'
import { KnowledgeBook } from './knowledge.ts'
import { recoveryMachine } from './machine.ts'
import { createRecoveryMetrics } from './metrics.ts'
import { Orchestrator } from './orchestrator.ts'

/** The composition root of a recovery orchestrator process. */

const settings = readConfig()
const metrics = createRecoveryMetrics()

await runCapability({
  name: 'recovery-orchestrator',
  context: recoveryContext,
  settings,
  listen: { host: '127.0.0.1', port: settings.OMIUM_RECOVERY_PORT },
  metrics: metrics.registry,
  async build({ log, logger, life, openLog, openCommandSender }) {
    const executions = await openLog(executionContext)
    const commands = await openCommandSender(log)
    const knowledge = new KnowledgeBook({ context: log, clock: systemClock, notices: logger })
    life.onClose('knowledge', () => knowledge.close())
    await knowledge.open()
    const orchestrator = new Orchestrator({
      knowledge,
      executions: await openCommandSender(executions),
      effects: createEffectHistory(executions),
      clock: systemClock,
      notices: logger,
      measures: metrics.measures,
    })
    const sweepMs = settings.OMIUM_RECOVERY_SWEEP_MS
    return {
      machine: recoveryMachine,
      handler: orchestrator,
      follows: [followRuns({ log: executions, commands, knowledge, clock: systemClock, sweepMs })],
      joined: (running) => metrics.observe(orchestrator, running),
    }
  },
})
