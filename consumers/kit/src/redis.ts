import { Redis } from 'ioredis'

/** A connection for limits and caches. Nobody waits for Redis: what it cannot do now is done without it. */
export const connectRedis = (url: string, onError: (error: unknown) => void): Redis => {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: true,
    connectTimeout: 2_000,
    // a Redis that hangs is as good as away
    commandTimeout: 250,
    retryStrategy: (times) => Math.min(2_000, 50 * 2 ** Math.min(times, 10)),
  })
  let told = false
  redis.on('error', (error) => {
    if (!told) onError(error)
    told = true
  })
  redis.on('ready', () => {
    told = false
  })
  return redis
}
