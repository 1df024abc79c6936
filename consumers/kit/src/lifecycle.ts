import { OmiumError } from '@omium/schemas'
import type { Logger } from './logger.ts'

/**
 * A process from its start to its end.
 *
 * 1. SIGTERM and SIGINT end it once: what was opened is closed in reverse order, within a bound; a second signal ends it now.
 * 2. A start that fails closes what it had opened, says one line with the error's code, and exits with code 1.
 * 3. An error that nobody handles ends the process: its state is unknown, and another process takes the work over.
 */
export interface Lifecycle {
  /** closes run in reverse order of these calls */
  onClose(what: string, close: () => Promise<void> | void): void
  /** ends the process as if it had been asked to, with this code */
  end(why: string, exitCode: number): void
}

export interface ServiceOptions {
  readonly logger: Logger
  /** limit for closing everything, ms */
  readonly drainMs: number
  start(life: Lifecycle): Promise<void>
}

export const runService = async ({ logger, drainMs, start }: ServiceOptions): Promise<void> => {
  const closers: { what: string; close: () => Promise<void> | void }[] = []
  let ending = false

  const closeAll = async (): Promise<void> => {
    for (const { what, close } of closers.reverse()) {
      try {
        await close()
      } catch (error) {
        logger.error({ err: error, what }, 'closing failed')
      }
    }
  }
  const end = (why: string, exitCode: number): void => {
    if (ending) process.exit(exitCode === 0 ? 1 : exitCode)
    ending = true
    logger.info({ why }, 'ending')
    const bound = setTimeout(() => {
      logger.error({ drainMs }, 'closing took too long')
      process.exit(1)
    }, drainMs)
    void closeAll().then(() => {
      clearTimeout(bound)
      logger.info('ended')
      process.exit(exitCode)
    })
  }
  process.on('SIGTERM', () => end('SIGTERM', 0))
  process.on('SIGINT', () => end('SIGINT', 0))
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'an error that nobody handled')
    end('uncaught error', 1)
  })

  const life: Lifecycle = { onClose: (what, close) => closers.push({ what, close }), end }
  try {
    await start(life)
  } catch (error) {
    const code = error instanceof OmiumError ? error.code : 'internal'
    logger.fatal({ err: error, code }, `the start failed: ${error instanceof Error ? error.message : String(error)}`)
    end('failed start', 1)
  }
}
