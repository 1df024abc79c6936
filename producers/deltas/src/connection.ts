import { Redis } from 'ioredis'

export interface DeltaOptions {
  /** redis:// or rediss:// */
  readonly url: string
  readonly topicPrefix: string
  /** the connection broke, told once until it is back; it is made again by itself */
  readonly onError: (error: unknown) => void
}

const longestPauseMs = 2_000

/** The channel of one execution's deltas. */
export const channelOf = (topicPrefix: string, tenant: string, executionId: string): string =>
  `omium:${topicPrefix}:delta:${tenant}/${executionId}`

/** A connection that nobody has to wait for: what it cannot take now fails at once. */
export const connect = ({ url, onError }: DeltaOptions): Redis => {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: true,
    connectTimeout: 2_000,
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
  return redis
}
