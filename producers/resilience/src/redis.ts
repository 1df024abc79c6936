import { Redis } from 'ioredis'
import { watchBreaker } from './states.ts'

/** how long Redis may leave a command without an answer before it is as good as away, ms */
const commandMs = 250
const silentMs = 1_000
const longestPauseMs = 2_000

/**
 * A connection for limits, caches and live output. Nobody waits for Redis: what it cannot do now fails at once, and is done
 * without it. One that hangs is disconnected, and counts as away until it answers again: that is its breaker.
 * @param onError told once until it is back
 */
export const connectRedis = (url: string, onError: (error: unknown) => void): Redis => {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: true,
    connectTimeout: 2_000,
    commandTimeout: commandMs,
    socketTimeout: silentMs,
    retryStrategy: (times) => Math.min(longestPauseMs, 50 * 2 ** Math.min(times, 10)),
  })
  let told = false
  redis.on('error', (error) => {
    if (!told) onError(error)
    told = true
  })
  redis.on('ready', () => {
    told = false
  })
  redis.once(
    'end',
    watchBreaker('redis', () => (redis.status === 'ready' ? 'closed' : 'open')),
  )
  return redis
}

/** how long what cannot be done without Redis waits for the first connection */
const firstConnectionMs = 1_000

/** Resolves once it is connected for the first time, or has had its time for that: a process that has just started is about to be. */
export const firstConnection = (redis: Redis): Promise<void> =>
  new Promise((resolve) => {
    if (redis.status === 'ready') return resolve()
    redis.once('ready', () => resolve())
    setTimeout(resolve, firstConnectionMs).unref()
  })
