/**
 * Retries as a bounded share of requests: every request deposits a fraction, every retry takes one. When the other side is
 * down for everybody, retries dry up instead of multiplying the load.
 */
export interface RetryBudget {
  deposit(): void
  /** false: no retry now */
  withdraw(): boolean
}

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
