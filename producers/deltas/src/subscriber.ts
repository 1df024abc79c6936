import { connectRedis } from '@omium/resilience'
import { type DeltaView, deltaView } from '@omium/schemas'
import { channelOf, type DeltaOptions } from './connection.ts'

type OnDelta = (delta: DeltaView) => void

export interface DeltaSubscriber {
  /** Deltas of one execution from about now on; returns the way to stop. */
  subscribe(tenant: string, executionId: string, onDelta: OnDelta): () => void
  close(): void
}

/** One connection for all watchers of a process; a channel is subscribed while anybody watches it. */
export const createDeltaSubscriber = (options: DeltaOptions): DeltaSubscriber => {
  const redis = connectRedis(options.url, options.onError)
  const watchers = new Map<string, Set<OnDelta>>()
  // what cannot be asked for now is asked for when the connection is back
  const ask = (command: 'subscribe' | 'unsubscribe', ...channels: string[]): void => {
    if (redis.status === 'ready' && channels.length > 0) redis[command](...channels).catch(() => undefined)
  }
  redis.on('ready', () => ask('subscribe', ...watchers.keys()))
  redis.on('message', (channel: string, text: string) => {
    const delta = deltaOf(text)
    if (delta) for (const onDelta of watchers.get(channel) ?? []) onDelta(delta)
  })
  return {
    subscribe(tenant, executionId, onDelta) {
      const channel = channelOf(options.topicPrefix, tenant, executionId)
      const known = watchers.get(channel)
      if (known) known.add(onDelta)
      else {
        watchers.set(channel, new Set([onDelta]))
        ask('subscribe', channel)
      }
      return () => {
        const remaining = watchers.get(channel)
        if (!remaining?.delete(onDelta) || remaining.size > 0) return
        watchers.delete(channel)
        ask('unsubscribe', channel)
      }
    },
    close: () => redis.disconnect(),
  }
}

const deltaOf = (text: string): DeltaView | undefined => {
  try {
    return deltaView.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
