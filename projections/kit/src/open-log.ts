import { randomBytes } from 'node:crypto'
import { connectKafka, createRegistryCodec, type LogContext, openTail, provisionContext } from '@omium/log'
import { type ContextDefinition, createIdSource, readSettings } from '@omium/schemas'
import type { ProjectionLog } from './runner.ts'

/**
 * Opens a context of the log from the environment's settings, creating topics and registering schemas where they are
 * missing, so that the order in which the platform's processes start does not matter.
 * @throws OmiumError `settings_invalid`, `log_unreachable`, `schema_incompatible`
 */
export const openLog = async (
  env: Record<string, string | undefined>,
  definition: ContextDefinition,
  clientId: string,
  onNotice: (notice: { level: 'info' | 'warn' | 'error'; message: string; fields: Record<string, unknown> }) => void,
): Promise<ProjectionLog & { close(): Promise<void> }> => {
  const settings = readSettings(env, [
    'OMIUM_KAFKA_BROKERS',
    'OMIUM_SCHEMA_REGISTRY_URL',
    'OMIUM_TOPIC_PREFIX',
    'OMIUM_PARTITIONS',
    'OMIUM_REPLICATION',
    'OMIUM_FSYNC',
  ])
  const transport = await connectKafka({ brokers: settings.OMIUM_KAFKA_BROKERS, clientId, onNotice })
  try {
    const context: LogContext = {
      transport,
      codec: createRegistryCodec({
        registryUrl: settings.OMIUM_SCHEMA_REGISTRY_URL,
        topicPrefix: settings.OMIUM_TOPIC_PREFIX,
        onNotice,
      }),
      definition,
      topicPrefix: settings.OMIUM_TOPIC_PREFIX,
      nowMs: Date.now,
      ids: createIdSource(Date.now, randomBytes),
    }
    await provisionContext(context, {
      partitions: settings.OMIUM_PARTITIONS,
      replication: settings.OMIUM_REPLICATION,
      fsync: settings.OMIUM_FSYNC,
    })
    return { context, openTail, close: () => transport.close() }
  } catch (error) {
    await transport.close()
    throw error
  }
}
