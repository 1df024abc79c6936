import { loadAgents, type Worker, worker } from '@omium/sdk'
import type { Logger } from 'pino'
import type { PoolConfig } from './config.ts'
import { startHealthServer } from './health.ts'

export interface Pool {
  readonly healthPort: number
  /** Takes no new runs, finishes or hands on what runs, and ends. */
  close(): Promise<void>
}

/**
 * The built-in worker pool: loads agents from modules and runs them.
 *
 * 1. A bad module is reported with its code and left out; the agents of the other modules run.
 * 2. Without any agent the pool stays up, is ready, and connects to nothing: there is nothing that it could be handed.
 * 3. It is ready once an engine has welcomed it.
 */
export const startPool = async (config: PoolConfig, logger: Logger, workingFolder: string): Promise<Pool> => {
  const { agents, problems } = await loadAgents(config.modules, workingFolder)
  for (const { module, error } of problems) logger.error({ module, code: error.code, err: error }, error.message)
  if (agents.length === 0) logger.warn('there is nothing to run: OMIUM_POOL_MODULES names no usable module')

  const running: Worker | undefined =
    agents.length > 0
      ? worker({ agents, url: config.url, apiKey: config.apiKey, slots: config.slots, logger, signals: false })
      : undefined
  let ready = running === undefined
  const health = await startHealthServer(config.port, () => ({
    ready,
    agents: agents.map((agent) => agent.id),
    runs: running?.runs ?? 0,
    badModules: problems.map(({ module, error }) => ({ module, code: error.code, detail: error.message })),
  }))
  logger.info({ agents: agents.map((agent) => agent.id), slots: config.slots, healthPort: health.port }, 'pool started')
  try {
    await running?.start()
  } catch (error) {
    await health.close()
    throw error
  }
  ready = true
  return {
    healthPort: health.port,
    close: async () => {
      ready = false
      await running?.drain()
      await running?.stop()
      await health.close()
    },
  }
}
