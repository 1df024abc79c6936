import type { Failure, RetryPolicy } from '@omium/schemas'

/** A number in [0, 1) that depends on nothing but the text: FNV-1a with murmur3's finalizer, 32 bits. */
export const unitHash = (text: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    h ^= text.charCodeAt(i)
    h = Math.imul(h, 0x01000193)
  }
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  h ^= h >>> 16
  return (h >>> 0) / 2 ** 32
}

/**
 * Delay before the try that follows `attempt` (from 1), ms. The jitter is a function of `seed`, so that every owner of the
 * run, and every replay of its decision, arrives at the same time.
 */
export const retryDelayMs = (policy: RetryPolicy, attempt: number, seed: string): number => {
  const full = Math.min(policy.maxDelayMs, policy.initialDelayMs * policy.backoff ** (attempt - 1))
  return Math.round(full * (1 - policy.jitter + policy.jitter * unitHash(`${seed}#${attempt}`)))
}

/** Whether the policy lets this failure of try `attempt` (from 1) be tried again. */
export const mayRetry = (policy: RetryPolicy, attempt: number, error: Failure): boolean =>
  attempt < policy.maxAttempts &&
  !policy.nonRetryable.includes(error.code) &&
  !(error.cause && policy.nonRetryable.includes(error.cause.name))
