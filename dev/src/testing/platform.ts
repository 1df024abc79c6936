import { services as platformServices } from '../services.ts'
import type { Endpoints } from '../stack.ts'
import { devUp, type RunningStack } from '../up.ts'

/** of all spec files: a registry takes longer to register schemas than most processes take to start */
export const schemaPrefix = 'specs'

/**
 * The platform's processes on services that run already, with a database and a topic prefix of their own: the quick way to
 * a whole product in a spec. Stop it in `afterAll`.
 */
export const platformOn = (
  { kafkaBrokers, registryUrl, redisUrl, s3 }: Endpoints,
  own: { databaseUrl: string; topicPrefix: string },
  env: Record<string, string> = {},
  /** names of the processes that are wanted; absent: all of them */
  wanted?: readonly string[],
): Promise<RunningStack> =>
  devUp({
    ephemeral: true,
    ...(wanted && { services: platformServices.filter(({ name }) => wanted.includes(name)) }),
    env: {
      OMIUM_KAFKA_BROKERS: kafkaBrokers.join(','),
      OMIUM_SCHEMA_REGISTRY_URL: registryUrl,
      OMIUM_DATABASE_URL: own.databaseUrl,
      OMIUM_REDIS_URL: redisUrl,
      OMIUM_S3_ENDPOINT: s3.endpoint,
      OMIUM_S3_ACCESS_KEY_ID: s3.accessKeyId,
      OMIUM_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
      OMIUM_S3_BUCKET: s3.bucket,
      OMIUM_S3_REGION: s3.region,
      OMIUM_TOPIC_PREFIX: own.topicPrefix,
      OMIUM_SCHEMA_PREFIX: schemaPrefix,
      // workers of specs live beside much else: one that a busy machine makes stand still for a second keeps its runs
      OMIUM_WORKER_LEASE_MS: '5000',
      ...env,
    },
  })
