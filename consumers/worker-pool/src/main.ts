import { OmiumError } from '@omium/schemas'
import { pino } from 'pino'
import { readConfig } from './config.ts'
import { startPool } from './pool.ts'

const main = async (): Promise<void> => {
  const config = readConfig(process.env)
  const logger = pino({ name: 'worker-pool', level: config.logLevel })
  const pool = await startPool(config, logger, process.cwd())
  const end = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end.abort())
  end.signal.addEventListener('abort', () => void pool.close().then(() => process.exit(0)))
}

try {
  await main()
} catch (error) {
  const said = error instanceof OmiumError ? `${error.code}: ${error.message}` : String(error)
  process.stderr.write(`${said}\n`)
  process.exit(1)
}
