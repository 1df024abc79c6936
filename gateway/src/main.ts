import { createLogger, noticesTo, runService, settingsOrExit } from '@omium/kit'
import { openLog } from '@omium/projection-kit'
import { executionContext, workflowContext } from '@omium/schemas'
import { configOf, gatewaySettings } from './config.ts'
import { startGateway } from './gateway.ts'

/** The process that answers HTTP. */
const settings = settingsOrExit(gatewaySettings)
const logger = createLogger('gateway', settings.OMIUM_LOG_LEVEL)

await runService({
  logger,
  drainMs: 10_000,
  async start(life) {
    const log = await openLog(process.env, executionContext, 'omium-gateway', noticesTo(logger))
    life.onClose('log', () => log.close())
    const workflow = await openLog(process.env, workflowContext, 'omium-gateway', noticesTo(logger))
    life.onClose('log of workflows', () => workflow.close())
    const gateway = await startGateway(configOf(settings), log, logger, { workflow })
    life.onClose('http', () => gateway.close())
    logger.info({ url: gateway.url }, 'listening')
  },
})
