import type { Logger } from '@omium/kit'
import { loadAgents, type Worker, worker } from '@omium/sdk'
import type { PoolConfig } from './config.ts'

export interface PoolDetails {
  readonly agents: readonly string[]
  readonly runs: number
  readonly badModules: readonly { readonly module: string; readonly code: string; readonly detail: string }[]
}

export interface Pool {
  details(): PoolDetails
  /** null once an engine has welcomed it */
  notReady(): string | null
  /** Connects to the platform; resolves when it is ready. */
  connect(): Promise<void>
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
  let missing: string | null = running ? 'no engine has welcomed the pool' : null
  return {
    details: () => ({
      agents: agents.map((agent) => agent.id),
      runs: running?.runs ?? 0,
      badModules: problems.map(({ module, error }) => ({ module, code: error.code, detail: error.message })),
    }),
    notReady: () => missing,
    connect: async () => {
      await running?.start()
      missing = null
    },
    close: async () => {
      missing = 'the process is ending'
      await running?.drain()
      await running?.stop()
    },
  }
}
