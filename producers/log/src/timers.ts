/**
 * Waiting, as a port: the log core never touches the event loop's timers itself, so that a simulation can decide when
 * every wait ends.
 */
export interface Timers {
  /** calls `run` once after `delayMs`; the returned function cancels it */
  after(delayMs: number, run: () => void): () => void
  /** resolves after everything that is ready in this turn of the event loop has run; what gathers meanwhile is batched */
  turn(): Promise<void>
}

export const systemTimers: Timers = {
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
}

export const pause = (timers: Timers, delayMs: number): Promise<void> =>
  new Promise((resolve) => {
    timers.after(delayMs, resolve)
  })

/** Exponential delay in ms before attempt `attempt` (from 0), bounded. */
export const backoffMs = (attempt: number, firstMs: number, maxMs: number): number =>
  Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 20))
