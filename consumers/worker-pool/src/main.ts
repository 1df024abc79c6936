import { createLogger, createMetrics, openHealthServer, orExit, runService } from '@omium/kit'
import { readConfig } from './config.ts'
import { startPool } from './pool.ts'

/** The composition root of the worker pool. */

/** longer than running steps may take to be recorded */
const drainMs = 40_000

const config = orExit(() => readConfig(process.env))
const logger = createLogger('worker-pool', config.logLevel)

await runService({
  logger,
  drainMs,
  async start(life) {
    const pool = await startPool(config, logger, process.cwd())
    life.onClose('worker', () => pool.close())
    const health = await openHealthServer({
      listen: { host: '127.0.0.1', port: config.port },
      metrics: createMetrics(),
      notReady: () => pool.notReady(),
      details: () => pool.details(),
    })
    life.onClose('http', () => health.close())
    const { agents } = pool.details()
    logger.info({ agents, slots: config.slots, healthPort: health.port }, 'pool started')
    await pool.connect()
  },
})
