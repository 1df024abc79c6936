import { setTimeout as delay } from 'node:timers/promises'

/**
 * Calls `check` until it neither throws nor returns false, and resolves with what it returned.
 * @throws what `check` threw last (or an error saying that it stayed false) once `timeoutMs` have passed
 */
export const eventually = async <T>(
  check: () => T | Promise<T>,
  { timeoutMs = 30_000, intervalMs = 20 }: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<T> => {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    let problem: unknown
    try {
      const value = await check()
      if (value !== false) return value
      problem = new Error(`still false after ${timeoutMs} ms`)
    } catch (error) {
      problem = error
    }
    if (performance.now() > deadline) throw problem
    await delay(intervalMs)
  }
}
