import { createLogger, noticesTo, runService, settingsOrExit } from '@omium/kit'
import { openLog } from '@omium/projection-kit'
import {
  type ContextDefinition,
  checkpointContext,
  executionContext,
  identityContext,
  recoveryContext,
  webhookContext,
  workflowContext,
} from '@omium/schemas'
import { configOf, gatewaySettings } from './config.ts'
import { startGateway } from './gateway.ts'

/** The process that answers HTTP. */
const settings = settingsOrExit(gatewaySettings)
const logger = createLogger('gateway', settings.OMIUM_LOG_LEVEL)

await runService({
  logger,
  drainMs: 10_000,
  async start(life) {
    const open = async (definition: ContextDefinition) => {
      const log = await openLog(process.env, definition, 'omium-gateway', noticesTo(logger))
      life.onClose(`${definition.name} log`, () => log.close())
      return log
    }
    const [execution, checkpoint, recovery, workflow, identity, webhook] = await Promise.all([
      open(executionContext),
      open(checkpointContext),
      open(recoveryContext),
      open(workflowContext),
      open(identityContext),
      open(webhookContext),
    ])
    const logs = { execution, checkpoint, recovery, workflow, identity, webhook }
    const gateway = await startGateway(configOf(settings), logs, logger)
    life.onClose('http', () => gateway.close())
    logger.info({ url: gateway.url }, 'listening')
  },
})
