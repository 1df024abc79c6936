import { migrate } from '@omium/migrations'
import { createPool, openLog, runProcess, runProjection, startHealthServer } from '@omium/projection-kit'
import { executionContext } from '@omium/schemas'
import { pino } from 'pino'
import { readConfig } from './config.ts'
import { executionsProjection } from './definition.ts'

/** The process that keeps the execution read models. */
const logger = pino({ name: 'projection-executions', level: process.env['OMIUM_LOG_LEVEL'] ?? 'info' })

await runProcess(logger, async () => {
  const { databaseUrl, port } = readConfig(process.env)
  await migrate(databaseUrl)
  const onNotice = ({
    level,
    message,
    fields,
  }: {
    level: 'info' | 'warn' | 'error'
    message: string
    fields: object
  }) => logger[level](fields, message)
  const log = await openLog(process.env, executionContext, 'omium-projection-executions', onNotice)
  const pool = createPool(databaseUrl, {
    max: 4,
    application_name: 'omium-projection-executions',
    onIdleError: (error) => logger.warn({ err: error }, 'an idle database connection broke'),
  })
  const running = await runProjection({ definition: executionsProjection, log, pool, databaseUrl, onNotice })
  const health = await startHealthServer({
    port,
    registry: running.metrics.registry,
    notReady: () => running.notReady(),
  })
  logger.info({ port: health.port }, 'projecting')
  return async () => {
    await health.close()
    await running.close()
    await log.close()
    await pool.end()
  }
})
