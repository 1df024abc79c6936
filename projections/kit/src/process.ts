import { OmiumError } from '@omium/schemas'
import type { Logger } from 'pino'
import { asUnavailable } from './database.ts'

const drainWithinMs = 10_000

/**
 * Lifecycle of a process: runs `start`, and on SIGTERM or SIGINT what it returned, within a bound. A failed start is logged
 * as one line with its code and ends the process with 1.
 */
export const runProcess = async (logger: Logger, start: () => Promise<() => Promise<void>>): Promise<void> => {
  try {
    const stop = await start()
    let stopping = false
    const end = (signal: string) => {
      if (stopping) return
      stopping = true
      logger.info({ signal }, 'draining')
      const late = setTimeout(() => {
        logger.error({ drainWithinMs }, 'draining took too long')
        process.exit(1)
      }, drainWithinMs)
      late.unref()
      stop().then(
        () => process.exit(0),
        (error) => {
          logger.error({ err: error }, 'draining failed')
          process.exit(1)
        },
      )
    }
    process.once('SIGTERM', () => end('SIGTERM'))
    process.once('SIGINT', () => end('SIGINT'))
  } catch (cause) {
    const error = asUnavailable(cause)
    const known = error instanceof OmiumError
    logger.fatal(known ? { code: error.code, detail: error.message } : { err: error }, 'start failed')
    process.exitCode = 1
    // sockets of what did start would keep the process
    setTimeout(() => process.exit(1), 100)
  }
}
