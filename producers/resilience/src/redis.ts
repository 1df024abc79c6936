import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { watchBreaker } from './states.ts'

/** how long Redis may leave a command without an answer before it is as good as away, ms */
const commandMs = 250
/** and before its connection is given up: nobody waits for longer */
const silentMs = 1_000
const connectMs = 2_000
const longestPauseMs = 2_000

/**
 * A command's time runs while this process listens: where it was busy itself, or got no processor, it reads what has come before it
 * takes anybody for silent. The client's own limit does not.
 */
class ListeningRedis extends Redis {
  answersWithinMs = commandMs

  override sendCommand(...[command, stream]: Parameters<Redis['sendCommand']>): unknown {
    const giveUp = () => {
      if (!command.isResolved) command.reject(new Error('Command timed out'))
    }
    const timer = setTimeout(() => setImmediate(giveUp), this.answersWithinMs)
    const settle = () => clearTimeout(timer)
    command.promise.then(settle, settle)
    return super.sendCommand(command, stream)
  }
}

/**
 * A connection for limits, caches and live output. Nobody waits for Redis: what it cannot do now fails at once, and is done
 * without it. One that hangs is disconnected, and counts as away until it answers again: that is its breaker.
 * @param onError told once until it is back
 * @param needed what is asked cannot be done without it, so it is waited for as long as the connection lasts
 */
export const connectRedis = (
  url: string,
  onError: (error: unknown) => void,
  { needed = false }: { readonly needed?: boolean } = {},
): Redis => {
  const redis = new ListeningRedis(url, {
    enableOfflineQueue: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: true,
    connectTimeout: connectMs,
    socketTimeout: silentMs,
    retryStrategy: (times) => Math.min(longestPauseMs, 50 * 2 ** Math.min(times, 10)),
  })
  if (needed) redis.answersWithinMs = silentMs
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

/** how long what cannot be done without Redis waits for the first connection: as long as it may take */
const firstConnectionMs = connectMs

/**
 * @returns what waits until it is connected for the first time, or has had its time for that since somebody asked: a process that has
 * just started is about to be.
 */
export const firstConnection = (redis: Redis): (() => Promise<void>) => {
  const connected = new Promise<void>((resolve) => {
    if (redis.status === 'ready') resolve()
    else redis.once('ready', () => resolve())
  })
  let begun: Promise<void> | undefined
  return () => {
    begun ??= Promise.race([connected, delay(firstConnectionMs, undefined, { ref: false })])
    return begun
  }
}
