import type { OmiumError } from '@omium/schemas'
import type { ReadBatch, ReadRequest, TransportReader } from '../transport.ts'
import { type ConnectionOptions, createConnection } from './connection.ts'
import { createFetcher } from './fetcher.ts'

/**
 * Reads given partitions from given offsets, without any consumer group.
 *
 * 1. What is fetched ahead of `next` is bounded in bytes: a consumer that is slow stops the fetching.
 * 2. An offset that the log does not have makes `next` throw `log_truncated`, now and on every later call.
 */

export interface ReaderOptions extends ConnectionOptions {
  readonly connectWithinMs: number
  readonly maxWaitMs: number
  /** bytes of records that may wait for `next` before fetching stops */
  readonly bufferBytes: number
}

/** One for all: an empty function made in a scope keeps that scope, and with it what it replaced, alive. */
const nobody = (): void => {}

const sizeOf = (batch: ReadBatch): number => {
  let bytes = 0
  for (const record of batch.records) bytes += 200 + (record.value?.length ?? 0)
  return bytes
}

export const openKafkaReader = async (
  options: ReaderOptions,
  requests: readonly ReadRequest[],
): Promise<TransportReader> => {
  const connection = createConnection(options)
  const waiting: { batch: ReadBatch; bytes: number }[] = []
  let waitingBytes = 0
  let failure: OmiumError | undefined
  let closed = false
  let onAvailable = nobody
  let onRoom = nobody

  const topics = [...new Set(requests.map((request) => request.topic))]
  try {
    await connection.open(topics, options.connectWithinMs)
    for (const { topic, partition, fromOffset } of requests) {
      if (!Number.isSafeInteger(fromOffset) || fromOffset < 0) throw new RangeError(`bad offset ${fromOffset}`)
      if (!connection.cluster.findTopicPartitionMetadata(topic).some((known) => known.partitionId === partition)) {
        throw new RangeError(`the log has no partition ${topic}/${partition}`)
      }
    }
  } catch (error) {
    connection.destroy()
    throw error
  }

  const fetcher = createFetcher({
    connection,
    maxWaitMs: options.maxWaitMs,
    onNotice: options.onNotice,
    onHalted: (_topic, _partition, error) => {
      failure ??= error
      onAvailable()
    },
    deliver: async (batch) => {
      const bytes = sizeOf(batch)
      waiting.push({ batch, bytes })
      waitingBytes += bytes
      onAvailable()
      while (waitingBytes > options.bufferBytes && !closed) {
        await new Promise<void>((resolve) => {
          const previous = onRoom
          onRoom = () => {
            previous()
            resolve()
          }
        })
      }
    },
  })
  for (const { topic, partition, fromOffset } of requests) fetcher.set(topic, partition, fromOffset)

  const release = () => {
    const waiters = onRoom
    onRoom = nobody
    waiters()
  }

  return {
    async next() {
      for (;;) {
        if (closed) return null
        const first = waiting.shift()
        if (first) {
          waitingBytes -= first.bytes
          if (waitingBytes <= options.bufferBytes) release()
          return first.batch
        }
        if (failure) throw failure
        await new Promise<void>((resolve) => {
          const previous = onAvailable
          onAvailable = () => {
            onAvailable = nobody
            previous()
            resolve()
          }
        })
      }
    },
    async close() {
      if (closed) return
      closed = true
      waiting.length = 0
      release()
      onAvailable()
      await fetcher.close()
    },
  }
}
