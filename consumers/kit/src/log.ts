import { randomBytes } from 'node:crypto'
import { connectKafka, createRegistryCodec, type LogContext, type OwnerOptions, provisionContext } from '@omium/log'
import { createS3ObjectStore, type ObjectStore } from '@omium/payloads'
import { type ContextDefinition, createIdSource, type Settings } from '@omium/schemas'
import type { Logger } from './logger.ts'

export const logSettings = [
  'OMIUM_KAFKA_BROKERS',
  'OMIUM_SCHEMA_REGISTRY_URL',
  'OMIUM_TOPIC_PREFIX',
  'OMIUM_PARTITIONS',
  'OMIUM_REPLICATION',
  'OMIUM_FSYNC',
] as const
export type LogSettings = Settings<(typeof logSettings)[number]>

export const objectSettings = [
  'OMIUM_S3_ENDPOINT',
  'OMIUM_S3_REGION',
  'OMIUM_S3_BUCKET',
  'OMIUM_S3_ACCESS_KEY_ID',
  'OMIUM_S3_SECRET_ACCESS_KEY',
] as const
export type ObjectSettings = Settings<(typeof objectSettings)[number]>

export type OnNotice = OwnerOptions<unknown>['onNotice']

/** What the log core has to say, as log lines. */
export const noticesTo =
  (logger: Logger): OnNotice =>
  ({ level, message, fields }) =>
    logger[level](fields, message)

/**
 * A context on Kafka and the registry, its topics and schemas in place.
 * @throws OmiumError `log_unreachable`, `schema_incompatible`, `unavailable`
 */
export const openLog = async (
  settings: LogSettings,
  options: { definition: ContextDefinition; clientId: string; logger: Logger },
): Promise<LogContext> => {
  const { definition, clientId, logger } = options
  const onNotice = noticesTo(logger)
  const topicPrefix = settings.OMIUM_TOPIC_PREFIX
  const transport = await connectKafka({ brokers: settings.OMIUM_KAFKA_BROKERS, clientId, onNotice })
  const nowMs = (): number => Date.now()
  const context: LogContext = {
    transport,
    codec: createRegistryCodec({ registryUrl: settings.OMIUM_SCHEMA_REGISTRY_URL, topicPrefix, onNotice }),
    definition,
    topicPrefix,
    nowMs,
    ids: createIdSource(nowMs, pooledRandomBytes()),
  }
  try {
    await provisionContext(context, {
      partitions: settings.OMIUM_PARTITIONS,
      replication: settings.OMIUM_REPLICATION,
      fsync: settings.OMIUM_FSYNC,
    })
  } catch (error) {
    await transport.close()
    throw error
  }
  return context
}

/** @throws OmiumError `unavailable` */
export const openObjects = (settings: ObjectSettings): Promise<ObjectStore> =>
  createS3ObjectStore({
    endpoint: settings.OMIUM_S3_ENDPOINT,
    region: settings.OMIUM_S3_REGION,
    bucket: settings.OMIUM_S3_BUCKET,
    accessKeyId: settings.OMIUM_S3_ACCESS_KEY_ID,
    secretAccessKey: settings.OMIUM_S3_SECRET_ACCESS_KEY,
  })

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
