import { createLogger, createMetrics, Gauge, openHealthServer, orExit, runService } from '@omium/kit'
import { readConfig } from './config.ts'
import { WorkerProcess } from './worker-process.ts'

/** The composition root of the Python pool. */

/** longer than a worker may take to drain */
const drainMs = 40_000

const config = orExit(() => readConfig(process.env))
const logger = createLogger('python-pool', config.logLevel)

await runService({
  logger,
  drainMs,
  async start(life) {
    const { python, options, targets } = config
    const workers = targets.map((target) => new WorkerProcess({ python, target, options, env: process.env }, logger))
    life.onClose('workers', async () => {
      await Promise.all(workers.map((worker) => worker.stop()))
    })
    if (workers.length === 0) logger.warn('there is nothing to run: OMIUM_PYTHON_AGENTS names nothing')

    const metrics = createMetrics()
    new Gauge({
      name: 'omium_python_pool_workers',
      help: 'Worker processes of the Python pool, by target and status',
      labelNames: ['target', 'status'],
      registers: [metrics],
      collect() {
        this.reset()
        for (const { target, status } of workers) this.set({ target, status: status.status }, 1)
      },
    })
    new Gauge({
      name: 'omium_python_pool_restarts',
      help: 'How often the worker process of a target was started again',
      labelNames: ['target'],
      registers: [metrics],
      collect() {
        for (const { target, restarts } of workers) this.set({ target }, restarts)
      },
    })
    const health = await openHealthServer({
      listen: { host: '127.0.0.1', port: config.port },
      metrics,
      notReady: () => {
        // a bad target is no reason to take the others out of service; it is named once none of them is missing
        const missing = workers.filter(({ status }) => status.status !== 'ready' && status.status !== 'refused')
        return missing.length === 0
          ? null
          : missing.map(({ target, status }) => `${target} is ${status.status}`).join(', ')
      },
    })
    life.onClose('http', () => health.close())
    logger.info({ targets, healthPort: health.port }, 'Python pool started')
  },
})
