/**
 * Retries as a bounded share of calls: every call deposits a fraction, every retry takes one. When the other side is down for
 * everybody, retries dry up instead of multiplying the load.
 */
export interface RetryBudget {
  deposit(): void
  /** false: no retry now */
  withdraw(): boolean
}

/** @param share retries for each call. @param capacity how many may be saved up, and are there from the start */
export const createRetryBudget = (share = 0.2, capacity = 20): RetryBudget => {
  let tokens = capacity
  return {
    deposit() {
      tokens = Math.min(capacity, tokens + share)
    },
    withdraw() {
      if (tokens < 1) return false
      tokens -= 1
      return true
    },
  }
}
