import { createLogger, noticesTo, runService, settingsOrExit } from '@omium/kit'
import { configOf, gatewaySettings } from './config.ts'
import { startGateway } from './gateway.ts'
import { openGatewayLogs } from './logs.ts'

/** The process that answers HTTP. */
const settings = settingsOrExit(gatewaySettings)
const logger = createLogger('gateway', settings.OMIUM_LOG_LEVEL)

await runService({
  logger,
  drainMs: 10_000,
  async start(life) {
    const { logs, close } = await openGatewayLogs(process.env, 'omium-gateway', noticesTo(logger))
    life.onClose('logs', close)
    const gateway = await startGateway(configOf(settings), logs, logger)
    life.onClose('http', () => gateway.close())
    logger.info({ url: gateway.url }, 'listening')
  },
})
