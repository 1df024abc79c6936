import { randomBytes } from 'node:crypto'
import { type ContextDefinition, createIdSource, type Settings } from '@omium/schemas'
import type { LogContext } from './contract.ts'
import { connectKafka } from './kafka/connect.ts'
import type { Notice } from './kafka/connection.ts'
import { ensureTopics } from './provision.ts'
import { createRegistryCodec } from './registry/codec.ts'

/** The settings that every process on the log reads. */
export const logSettings = [
  'OMIUM_KAFKA_BROKERS',
  'OMIUM_SCHEMA_REGISTRY_URL',
  'OMIUM_TOPIC_PREFIX',
  'OMIUM_SCHEMA_PREFIX',
  'OMIUM_PARTITIONS',
  'OMIUM_REPLICATION',
  'OMIUM_FSYNC',
] as const
export type LogSettings = Settings<(typeof logSettings)[number]>

export interface OpenLogOptions {
  readonly definition: ContextDefinition
  readonly clientId: string
  readonly onNotice: (notice: Notice) => void
}

/** Random bytes in blocks: a call for ten bytes costs as much as one for four thousand. */
export const pooledRandomBytes = (): ((size: number) => Uint8Array) => {
  const blockBytes = 4096
  let block = randomBytes(blockBytes)
  let used = 0
  return (size) => {
    if (used + size > blockBytes) {
      block = randomBytes(blockBytes)
      used = 0
    }
    used += size
    return block.subarray(used - size, used)
  }
}

/**
 * A context on Kafka and the registry. Topics that are missing are made, and schemas by those who write with them, so that
 * the order in which the platform's processes start does not matter; `src/main.ts` makes them beforehand.
 * @throws OmiumError `log_unreachable`
 */
export const openLog = async (settings: LogSettings, options: OpenLogOptions): Promise<LogContext> => {
  const { definition, clientId, onNotice } = options
  const topicPrefix = settings.OMIUM_TOPIC_PREFIX
  const transport = await connectKafka({ brokers: settings.OMIUM_KAFKA_BROKERS, clientId, onNotice })
  const nowMs = (): number => Date.now()
  const context: LogContext = {
    transport,
    codec: createRegistryCodec({
      registryUrl: settings.OMIUM_SCHEMA_REGISTRY_URL,
      subjectPrefix: settings.OMIUM_SCHEMA_PREFIX ?? topicPrefix,
      onNotice,
    }),
    definition,
    topicPrefix,
    nowMs,
    ids: createIdSource(nowMs, pooledRandomBytes()),
  }
  try {
    await ensureTopics(context, {
      partitions: settings.OMIUM_PARTITIONS,
      replication: settings.OMIUM_REPLICATION,
      fsync: settings.OMIUM_FSYNC,
    })
    await context.codec.prepare(definition, [])
  } catch (error) {
    await transport.close()
    throw error
  }
  return context
}
