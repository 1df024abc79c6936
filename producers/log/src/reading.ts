import { OmiumError } from '@omium/schemas'
import type { LogTransport, ReadBatch } from './transport.ts'

/**
 * Hands every record of a partition from `fromOffset` up to (not including) `toOffset` to `take`, batch by batch.
 * @throws OmiumError `log_unreachable` when the reader ends early; whatever the transport or `take` throws
 */
export const readThrough = async (
  transport: LogTransport,
  range: { readonly topic: string; readonly partition: number; readonly fromOffset: number; readonly toOffset: number },
  take: (batch: ReadBatch) => void | Promise<void>,
): Promise<void> => {
  const { topic, partition, fromOffset, toOffset } = range
  if (fromOffset >= toOffset) return
  const reader = await transport.openReader([{ topic, partition, fromOffset }])
  try {
    for (let next = fromOffset; next < toOffset; ) {
      const batch = await reader.next()
      if (batch === null) throw new OmiumError('log_unreachable', `reading ${topic}/${partition} ended at ${next}`)
      await take(batch)
      next = batch.nextOffset
    }
  } finally {
    await reader.close()
  }
}

/** End offset of one partition. */
export const endOf = async (transport: LogTransport, topic: string, partition: number): Promise<number> => {
  const end = (await transport.endOffsets(topic)).get(partition)
  if (end === undefined) throw new OmiumError('log_unreachable', `topic ${topic} has no partition ${partition}`)
  return end
}
