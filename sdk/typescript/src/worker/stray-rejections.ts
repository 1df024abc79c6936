import type { Logger } from 'pino'
import { ambient } from '../replay/ambient.ts'

/**
 * Keeps a rejection that nobody handles inside its run: the run fails, the worker goes on. What belongs to no run is left
 * to other listeners, or ends the process as it would have without this one.
 * @returns a function that ends it
 */
export const containStrayRejections = (log: Logger): (() => void) => {
  const listener = (reason: unknown) => {
    const run = ambient.getStore()?.run
    if (run) {
      if (run.closed) return
      log.error(
        { err: reason, executionId: run.executionId },
        'a rejection in agent code was not handled; its run fails',
      )
      run.fail(reason)
    } else if (process.listenerCount('unhandledRejection') === 1) throw reason
  }
  process.on('unhandledRejection', listener)
  return () => {
    process.off('unhandledRejection', listener)
  }
}
