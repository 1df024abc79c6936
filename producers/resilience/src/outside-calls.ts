import { OmiumError } from '@omium/schemas'
import { type BreakerOptions, type BreakerState, createBreaker } from './breaker.ts'
import { createRetryBudget } from './retry-budget.ts'
import { watchBreaker } from './states.ts'

/**
 * Calls to one thing outside of this process.
 *
 * 1. A call takes at most `timeoutMs` for each try: its signal is aborted then, and whoever ignores that is not waited for.
 * 2. What failed is tried again only where the caller says that it may be done twice (`tries`, and not `once`), within a budget
 *    that keeps retries a small share of the calls, and never while the breaker is open.
 * 3. An answer (`isFinal`) is no failure: it is thrown at once, as it came.
 */
export interface OutsideCalls {
  readonly state: BreakerState
  /**
   * @param once this one may not be done twice
   * @throws what the last try threw; OmiumError `unavailable` when it took too long or was not let through
   */
  call<T>(request: (signal: AbortSignal) => Promise<T>, once?: 'once'): Promise<T>
  close(): void
}

export interface OutsideCallsOptions extends Omit<BreakerOptions, 'refusal'> {
  /** of one try, ms */
  readonly timeoutMs: number
  /** default 1; more only for what may be done twice */
  readonly tries?: number
  /** before the first retry, ms; it doubles, and is shortened by up to half at random. default 100 */
  readonly retryDelayMs?: number
}

export const createOutsideCalls = (options: OutsideCallsOptions): OutsideCalls => {
  const { target, timeoutMs, tries = 1, retryDelayMs = 100, isFinal = () => false } = options
  const breaker = createBreaker(options)
  const budget = createRetryBudget()
  const unwatch = watchBreaker(target, () => breaker.state)

  const attempt = <T>(request: (signal: AbortSignal) => Promise<T>): Promise<T> =>
    breaker.fire(() => withinLimit(target, timeoutMs, request))

  return {
    get state() {
      return breaker.state
    },
    async call(request, once) {
      const most = once ? 1 : tries
      budget.deposit()
      for (let number = 1; ; number++) {
        try {
          return await attempt(request)
        } catch (error) {
          if (number >= most || isFinal(error) || breaker.state === 'open' || !budget.withdraw()) throw error
        }
        const delayMs = retryDelayMs * 2 ** (number - 1) * (0.5 + Math.random() / 2)
        await new Promise((resolve) => setTimeout(resolve, delayMs))
      }
    },
    close() {
      unwatch()
      breaker.close()
    },
  }
}

const withinLimit = async <T>(
  target: string,
  timeoutMs: number,
  request: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  const ended = new AbortController()
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const error = new OmiumError('unavailable', `${target} did not answer within ${timeoutMs} ms`)
    late.reject(error)
    ended.abort(error)
  }, timeoutMs)
  try {
    return await Promise.race([request(ended.signal), late.promise])
  } finally {
    clearTimeout(timer)
  }
}
