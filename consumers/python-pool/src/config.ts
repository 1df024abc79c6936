import { OmiumError, readSettings } from '@omium/schemas'
import { z } from 'zod'

const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean),
  )
/** A setting that is empty counts as absent. */
const positive = z.coerce.number().positive()

const poolSettings = z.object({
  /** what to run: `module:attr`, `module` or `team.yaml`, separated by commas; a worker process for each */
  OMIUM_PYTHON_AGENTS: list,
  /** the interpreter that has the `omium` package, and what the agents import */
  OMIUM_PYTHON: z.string().min(1).default('python3'),
  /** runs that may execute code at the same time, for each engine and each worker process */
  OMIUM_PYTHON_SLOTS: positive.int().max(10_000).default(16),
  /** which attempts get processes of their own: those of framework objects, all, or none */
  OMIUM_PYTHON_ISOLATION: z.enum(['auto', 'process', 'none']).default('auto'),
  /** resident memory of an attempt's process, MiB */
  OMIUM_PYTHON_MEMORY_LIMIT_MB: positive.int().optional(),
  /** for how long an attempt may ask for nothing, seconds */
  OMIUM_PYTHON_STALL_TIMEOUT_S: positive.default(3600),
  /** modules whose functions definitions may use as tools, and `http_get` */
  OMIUM_PYTHON_ALLOW_TOOLS: list,
  /** port of GET /health, /ready and /metrics on 127.0.0.1; 0 takes a free one */
  OMIUM_PYTHON_POOL_PORT: z.coerce.number().int().min(0).max(65535).default(0),
})

export interface PythonPoolConfig {
  readonly targets: readonly string[]
  readonly python: string
  readonly options: readonly string[]
  readonly port: number
  readonly logLevel: string
}

/** @throws OmiumError `settings_invalid`, one line for each bad setting */
export const readConfig = (env: Record<string, string | undefined>): PythonPoolConfig => {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const pool = poolSettings.safeParse(given)
  const problems = pool.success ? [] : pool.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
  let logLevel = 'info'
  try {
    // the workers read where the platform is for themselves; what is wrong with it is said once, here
    logLevel = readSettings(env, ['OMIUM_URL', 'OMIUM_API_KEY', 'OMIUM_LOG_LEVEL']).OMIUM_LOG_LEVEL
  } catch (error) {
    if (!(error instanceof OmiumError)) throw error
    problems.push(...error.message.split('\n').slice(1))
  }
  if (!pool.success || problems.length > 0)
    throw new OmiumError('settings_invalid', `${problems.length} bad setting(s)\n${problems.join('\n')}`)
  const settings = pool.data
  const memoryMb = settings.OMIUM_PYTHON_MEMORY_LIMIT_MB
  return {
    targets: [...new Set(settings.OMIUM_PYTHON_AGENTS)],
    python: settings.OMIUM_PYTHON,
    options: [
      ...['--slots', String(settings.OMIUM_PYTHON_SLOTS)],
      ...['--isolation', settings.OMIUM_PYTHON_ISOLATION],
      ...['--stall-timeout', String(settings.OMIUM_PYTHON_STALL_TIMEOUT_S)],
      ...(memoryMb === undefined ? [] : ['--memory-limit', String(memoryMb)]),
      ...(settings.OMIUM_PYTHON_ALLOW_TOOLS.length === 0
        ? []
        : ['--allow-tools', settings.OMIUM_PYTHON_ALLOW_TOOLS.join(',')]),
    ],
    port: settings.OMIUM_PYTHON_POOL_PORT,
    logLevel,
  }
}
