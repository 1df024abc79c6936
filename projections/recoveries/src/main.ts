import { createLogger, noticesTo, openHealthServer, runService, settingsOrExit } from '@omium/kit'
import { migrate } from '@omium/migrations'
import { createPool, openLog, runProjection } from '@omium/projection-kit'
import { recoveryContext } from '@omium/schemas'
import { recoveriesProjection } from './definition.ts'

/** The process that keeps the recovery read models. */
const config = settingsOrExit(['OMIUM_DATABASE_URL', 'OMIUM_RECOVERIES_PORT', 'OMIUM_LOG_LEVEL'])
const name = 'projection-recoveries'
const logger = createLogger(name, config.OMIUM_LOG_LEVEL)
const onNotice = noticesTo(logger)

await runService({
  logger,
  drainMs: 10_000,
  async start(life) {
    const databaseUrl = config.OMIUM_DATABASE_URL
    await migrate(databaseUrl)
    const log = await openLog(process.env, recoveryContext, `omium-${name}`, onNotice)
    life.onClose('log', () => log.close())
    const pool = createPool(databaseUrl, {
      max: 4,
      application_name: `omium-${name}`,
      onIdleError: (error) => logger.warn({ err: error }, 'an idle database connection broke'),
    })
    life.onClose('database', () => pool.end())
    const running = await runProjection({ definition: recoveriesProjection, log, pool, databaseUrl, onNotice })
    life.onClose('projection', () => running.close())
    const health = await openHealthServer({
      listen: { host: '127.0.0.1', port: config.OMIUM_RECOVERIES_PORT },
      metrics: running.metrics.registry,
      notReady: () => running.notReady(),
    })
    life.onClose('http', () => health.close())
    logger.info({ port: health.port }, 'projecting')
  },
})
