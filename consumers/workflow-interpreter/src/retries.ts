import { type JsonValue, type NodeRetry, OmiumError } from '@omium/schemas'

/** Failures after which the same call would fail the same way, or must not be made again. */
const final: readonly string[] = [
  'replay_mismatch',
  'attempt_fenced',
  'budget_exceeded',
  'input_invalid',
  'execution_cancelled',
]

/** Makes a call up to so many times, with rests in between. */
export const withRetries = async (
  retry: NodeRetry | undefined,
  rest: (ms: number) => Promise<void>,
  call: () => Promise<JsonValue>,
): Promise<JsonValue> => {
  let delayMs = retry?.delayMs ?? 0
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      const code = error instanceof OmiumError ? error.code : 'internal'
      if (!retry || attempt >= retry.maxAttempts || final.includes(code)) throw error
      if (delayMs > 0) await rest(Math.round(delayMs))
      delayMs = Math.min(86_400_000, delayMs * retry.backoff)
    }
  }
}
