import { connectRedis, firstConnection } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import type { AttemptLimit, AttemptLimits } from './ports.ts'

/** Attempts within a window that begins with the first of them. */
const refusal = (waitMs: number): OmiumError =>
  new OmiumError('rate_limited', `too many attempts: try again in ${Math.ceil(waitMs / 1000)} s`, {
    data: { retryAfterMs: waitMs },
  })

/** more are forgotten, oldest first */
const mostKeys = 100_000

/** Attempts at this process alone: for an installation of one gateway. */
export const createLocalAttemptLimits = (nowMs: () => number): AttemptLimits => {
  const windows = new Map<string, { until: number; count: number }>()
  return {
    take: async (key, { attempts, withinMs }: AttemptLimit) => {
      const now = nowMs()
      const known = windows.get(key)
      const window = known && known.until > now ? known : { until: now + withinMs, count: 0 }
      if (window.count >= attempts) throw refusal(window.until - now)
      window.count++
      windows.delete(key)
      windows.set(key, window)
      if (windows.size > mostKeys) windows.delete(windows.keys().next().value as string)
    },
    close: () => undefined,
  }
}

const script = `
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if count <= tonumber(ARGV[1]) then return 0 end
return math.max(1, redis.call('PTTL', KEYS[1]))`

/** Attempts at all gateways together. While nobody can count, nobody may try: this guards doors. */
export const createRedisAttemptLimits = (
  url: string,
  prefix: string,
  onNotice: (message: string, error: unknown) => void,
): AttemptLimits => {
  const onError = (error: unknown) => onNotice('attempts to sign in cannot be counted for the moment', error)
  const redis = connectRedis(url, onError, { needed: true })
  const begun = firstConnection(redis)
  return {
    take: async (key, { attempts, withinMs }) => {
      await begun()
      let waitMs: number
      try {
        waitMs = Number(await redis.eval(script, 1, `${prefix}:attempts:${key}`, attempts, withinMs))
      } catch (cause) {
        throw new OmiumError(
          'unavailable',
          'sign-in is closed while its attempts cannot be counted: try again shortly',
          {
            cause,
          },
        )
      }
      if (waitMs > 0) throw refusal(waitMs)
    },
    close: () => redis.disconnect(),
  }
}
