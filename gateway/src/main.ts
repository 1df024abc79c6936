import { openLog, runProcess } from '@omium/projection-kit'
import { executionContext } from '@omium/schemas'
import { pino } from 'pino'
import { readConfig } from './config.ts'
import { startGateway } from './gateway.ts'

/** The process that answers HTTP. */
const logger = pino({
  name: 'gateway',
  level: process.env['OMIUM_LOG_LEVEL'] ?? 'info',
  redact: ['req.headers.authorization'],
})

await runProcess(logger, async () => {
  const config = readConfig(process.env)
  const log = await openLog(process.env, executionContext, 'omium-gateway', ({ level, message, fields }) =>
    logger[level](fields, message),
  )
  const gateway = await startGateway(config, log, logger)
  logger.info({ url: gateway.url }, 'listening')
  return async () => {
    await gateway.close()
    await log.close()
  }
})
