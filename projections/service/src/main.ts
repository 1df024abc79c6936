import { createLogger, createMetrics, noticesTo, openHealthServer, runService, settingsOrExit } from '@omium/kit'
import { migrate } from '@omium/migrations'
import { createPool, mergeMetrics, openLog, runProjection } from '@omium/projection-kit'
import { projections } from './projections.ts'

/** The process that keeps the read models: all of them, or those that `OMIUM_PROJECTIONS` names. */
const config = settingsOrExit(['OMIUM_DATABASE_URL', 'OMIUM_PROJECTIONS', 'OMIUM_PROJECTIONS_PORT', 'OMIUM_LOG_LEVEL'])
const name = 'projections'
const logger = createLogger(name, config.OMIUM_LOG_LEVEL)
const named: readonly string[] | undefined = config.OMIUM_PROJECTIONS
const wanted = projections.filter(([{ name: one }]) => named?.includes(one) ?? true)

await runService({
  logger,
  drainMs: 10_000,
  async start(life) {
    const databaseUrl = config.OMIUM_DATABASE_URL
    await migrate(databaseUrl)
    const running = await Promise.all(
      wanted.map(async ([definition, context]) => {
        const onNotice = noticesTo(logger.child({ projection: definition.name }))
        const log = await openLog(process.env, context, `omium-projection-${definition.name}`, onNotice)
        life.onClose(`log of ${definition.name}`, () => log.close())
        const pool = createPool(databaseUrl, {
          max: 4,
          application_name: `omium-projection-${definition.name}`,
          onIdleError: (error) => logger.warn({ err: error }, 'an idle database connection broke'),
        })
        life.onClose(`database of ${definition.name}`, () => pool.end())
        const projection = await runProjection({ definition, log, pool, databaseUrl, onNotice })
        life.onClose(definition.name, () => projection.close())
        return { ...definition, metrics: projection.metrics, notReady: () => projection.notReady() }
      }),
    )
    const health = await openHealthServer({
      listen: { host: '127.0.0.1', port: config.OMIUM_PROJECTIONS_PORT },
      metrics: mergeMetrics(
        createMetrics(),
        running.map(({ metrics }) => metrics.registry),
      ),
      notReady: () => {
        const missing = running.flatMap(({ name: one, notReady }) => {
          const problem = notReady()
          return problem === null ? [] : [`${one}: ${problem}`]
        })
        return missing.length === 0 ? null : missing.join('; ')
      },
    })
    life.onClose('http', () => health.close())
    logger.info({ port: health.port, projections: running.map(({ name: one }) => one) }, 'projecting')
  },
})
