import { ambient } from '../replay/ambient.ts'

/** One listener serves all workers of a process: with two, each would leave strangers' rejections to the other. */
const holders = new Set<object>()

const listener = (reason: unknown): void => {
  const run = ambient.getStore()?.run
  if (!run) {
    // no run's: it ends the process, as without this listener, unless someone else handles it
    if (process.listenerCount('unhandledRejection') === 1) throw reason
    return
  }
  if (run.closed) return
  run.port.log.error({ err: reason, executionId: run.executionId }, 'a rejection in agent code was not handled')
  run.fail(reason)
}

/**
 * Keeps a rejection that nobody handles inside its run: the run fails, the worker goes on. What belongs to no run is left
 * to other listeners, or ends the process as it would have without this one.
 * @param holder whoever needs it: it lasts as long as anyone does
 * @returns a function that ends it for this holder
 */
export const containStrayRejections = (holder: object): (() => void) => {
  if (holders.size === 0) process.on('unhandledRejection', listener)
  holders.add(holder)
  return () => {
    if (holders.delete(holder) && holders.size === 0) process.off('unhandledRejection', listener)
  }
}
