import { type JsonValue, type NodeRetry, OmiumError } from '@omium/schemas'
import { type Frame, keyed, type Surroundings } from './frame.ts'

/** Failures after which the same call would fail the same way, or must not be made again. */
const final: readonly string[] = [
  'replay_mismatch',
  'attempt_fenced',
  'budget_exceeded',
  'input_invalid',
  'execution_cancelled',
]

/** Makes a call up to so many times, with rests in between that hold no worker. */
export const withRetries = async (
  retry: NodeRetry | undefined,
  id: string,
  { key }: Frame,
  { ctx }: Surroundings,
  call: () => Promise<JsonValue>,
): Promise<JsonValue> => {
  let delayMs = retry?.delayMs ?? 0
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      const code = error instanceof OmiumError ? error.code : 'internal'
      if (!retry || attempt >= retry.maxAttempts || final.includes(code)) throw error
      if (delayMs > 0) await ctx.sleep(Math.round(delayMs), { name: `${id}.rest`, ...keyed(key) })
      delayMs = Math.min(86_400_000, delayMs * retry.backoff)
    }
  }
}
