import { connectRedis } from '@omium/resilience'
import type { DeltaView } from '@omium/schemas'
import { channelOf, type DeltaOptions } from './connection.ts'

export interface DeltaPublisher {
  /** Shows the delta to whoever watches now, or drops it; never throws, never waits. */
  publish(tenant: string, executionId: string, delta: DeltaView): void
  close(): void
}

const mostWaiting = 1_000
const longestText = 64 * 1024

export const createDeltaPublisher = (options: DeltaOptions): DeltaPublisher => {
  const redis = connectRedis(options.url, options.onError)
  let waiting = 0
  const sent = (): void => {
    waiting--
  }
  return {
    publish(tenant, executionId, delta) {
      if (redis.status !== 'ready' || waiting >= mostWaiting || delta.text.length > longestText) return
      waiting++
      redis.publish(channelOf(options.topicPrefix, tenant, executionId), JSON.stringify(delta)).then(sent, sent)
    },
    close: () => redis.disconnect(),
  }
}
