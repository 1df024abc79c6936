import type { Clock } from './timer-queue.ts'

/** Waits on a clock; ends early when the signal is aborted. */
export const sleep = (clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = (): void => {
      cancel()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const cancel = clock.after(delayMs, end)
    signal?.addEventListener('abort', end)
  })

const firstDelayMs = 100
const maxDelayMs = 5_000

/** How long to wait after so many failures in a row, ms. */
export const delayAfter = (failures: number): number => Math.min(maxDelayMs, firstDelayMs * 2 ** (failures - 1))

export interface RetryOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  onFailure(error: unknown): void
}

/**
 * Tries again and again until it succeeds, at growing distances.
 * @param attempt gets the number of the try, from 1
 * @throws the signal's reason once it is aborted, whatever the last try came to unless that succeeded
 */
export const retry = async <T>(
  attempt: (number: number) => Promise<T>,
  { clock, signal, onFailure }: RetryOptions,
): Promise<T> => {
  for (let number = 1; ; number++) {
    signal.throwIfAborted()
    try {
      return await attempt(number)
    } catch (error) {
      signal.throwIfAborted()
      onFailure(error)
      await sleep(clock, delayAfter(number), signal)
    }
  }
}

/** Does work again and again, so long after it was done. @returns ends it, and resolves when nothing is done any more */
export const repeat = (
  clock: Clock,
  everyMs: number,
  work: () => Promise<unknown>,
  onFailure: (error: unknown) => void,
): (() => Promise<void>) => {
  const ended = new AbortController()
  const { signal } = ended
  const run = async (): Promise<void> => {
    for (;;) {
      await sleep(clock, everyMs, signal)
      if (signal.aborted) return
      try {
        await work()
      } catch (error) {
        if (!signal.aborted) onFailure(error)
      }
    }
  }
  const done = run()
  return async () => {
    ended.abort()
    await done
  }
}
