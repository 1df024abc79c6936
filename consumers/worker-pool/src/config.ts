import { OmiumError, readSettings } from '@omium/schemas'
import { z } from 'zod'

/** Settings of the pool alone; the platform's are read by the SDK and by `readSettings`. */
const poolSettings = z.object({
  /** modules that export agents: paths (from the working directory) or URLs, separated by commas */
  OMIUM_POOL_MODULES: z
    .string()
    .default('')
    .transform((list) =>
      list
        .split(',')
        .map((module) => module.trim())
        .filter(Boolean),
    ),
  /** runs that may execute code at the same time, for each engine process */
  OMIUM_POOL_SLOTS: z.coerce.number().int().min(1).max(100_000).default(100),
  /** port of GET /health and /ready on 127.0.0.1; 0 takes a free one */
  OMIUM_POOL_PORT: z.coerce.number().int().min(0).max(65535).default(0),
})

export interface PoolConfig {
  readonly modules: readonly string[]
  readonly slots: number
  readonly port: number
  readonly url: string
  readonly apiKey: string
  readonly logLevel: string
}

/** @throws OmiumError `settings_invalid`, one line for each bad setting */
export const readConfig = (env: Record<string, string | undefined>): PoolConfig => {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const pool = poolSettings.safeParse(given)
  const problems = pool.success ? [] : pool.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
  let platform: ReturnType<typeof readPlatform> | undefined
  try {
    platform = readPlatform(env)
  } catch (error) {
    if (!(error instanceof OmiumError)) throw error
    problems.push(...error.message.split('\n').slice(1))
  }
  if (!pool.success || !platform || problems.length > 0)
    throw new OmiumError('settings_invalid', `${problems.length} bad setting(s)\n${problems.join('\n')}`)
  return {
    modules: pool.data.OMIUM_POOL_MODULES,
    slots: pool.data.OMIUM_POOL_SLOTS,
    port: pool.data.OMIUM_POOL_PORT,
    url: platform.OMIUM_URL,
    apiKey: platform.OMIUM_API_KEY,
    logLevel: platform.OMIUM_LOG_LEVEL,
  }
}

const readPlatform = (env: Record<string, string | undefined>) =>
  readSettings(env, ['OMIUM_URL', 'OMIUM_API_KEY', 'OMIUM_LOG_LEVEL'])
