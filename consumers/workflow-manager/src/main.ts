import { runCapability, systemClock } from '@omium/kit'
import { createPayloadStore } from '@omium/payloads'
import { executionContext, workflowContext } from '@omium/schemas'
import { readConfig } from './config.ts'
import { followEnds } from './follow-ends.ts'
import { createFollowTopic } from './follow-topic.ts'
import { workflowMachine } from './machine.ts'
import { Manager } from './manager.ts'
import { createManagerMetrics } from './metrics.ts'

/** The composition root of a workflow manager process. */

const settings = readConfig()
const metrics = createManagerMetrics()

await runCapability({
  name: 'workflow-manager',
  context: workflowContext,
  settings,
  listen: { host: '127.0.0.1', port: settings.OMIUM_WORKFLOW_MANAGER_PORT },
  metrics: metrics.registry,
  async build(host) {
    const { logger, log } = host
    const executions = await host.openLog(executionContext)
    const manager = new Manager({
      clock: systemClock,
      notices: logger,
      measures: metrics.measures,
      executions: await host.openCommandSender(executions),
      payloads: createPayloadStore(host.objects),
      followTopic: createFollowTopic({ log, clock: systemClock, notices: logger }),
    })
    return {
      machine: workflowMachine,
      handler: manager,
      follows: [followEnds(executions, await host.openCommandSender(log))],
      joined: () => metrics.observe(manager),
    }
  },
})
