import { commandsTopic, deadLettersTopic, eventsTopic } from '@omium/schemas'
import type { LogContext } from './contract.ts'
import { maxMessageBytes } from './record-size.ts'

export interface ProvisionOptions {
  /** of the commands and the events topic alike; never changes once they exist */
  readonly partitions: number
  readonly replication: number
  /** every append to the events topic is on disk before it is acknowledged */
  readonly fsync: boolean
}

const dayMs = 24 * 60 * 60 * 1000

/** Creates a context's topics where they are missing and registers its schemas. Safe to call from many processes at once. */
export const provisionContext = async (context: LogContext, options: ProvisionOptions): Promise<void> => {
  await ensureTopics(context, options)
  await context.codec.prepare(context.definition, ['event', 'command'])
}

/** Creates a context's topics where they are missing. */
export const ensureTopics = async (context: LogContext, options: ProvisionOptions): Promise<void> => {
  const { partitions, replication, fsync } = options
  const { name } = context.definition
  const common = {
    'cleanup.policy': 'delete',
    'max.message.bytes': String(maxMessageBytes),
    // whatever another producer compresses with, the broker stores what every reader can read
    'compression.type': 'uncompressed',
    'min.insync.replicas': String(Math.max(1, replication - 1)),
  }
  const forEver = { ...common, 'retention.ms': '-1', 'retention.bytes': '-1' }
  await context.transport.ensureTopics([
    {
      topic: eventsTopic(context.topicPrefix, name),
      partitions,
      replication,
      config: { ...forEver, ...(fsync && { 'flush.messages': '1' }) },
    },
    {
      // no fsync: nobody is told "done" before the event is on disk, and a lost command is sent again
      topic: commandsTopic(context.topicPrefix, name),
      partitions,
      replication,
      config: { ...common, 'retention.ms': String(7 * dayMs) },
    },
    { topic: deadLettersTopic(context.topicPrefix), partitions: 1, replication, config: forEver },
  ])
}
