import { OmiumError, readSettings } from '@omium/schemas'
import type { S3Access } from './components/s3.ts'

/** Services that the environment gives: the stack starts none of its own in their place. */
export interface ExternalServices {
  kafkaBrokers?: string[]
  registryUrl?: string
  databaseUrl?: string
  redisUrl?: string
  s3?: S3Access
}

const names = ['OMIUM_KAFKA_BROKERS', 'OMIUM_SCHEMA_REGISTRY_URL', 'OMIUM_DATABASE_URL', 'OMIUM_REDIS_URL'] as const

/**
 * Reads which services are external.
 * @throws OmiumError `settings_invalid` naming every bad one
 */
export const externalServices = (env: Record<string, string | undefined> = process.env): ExternalServices => {
  const set = names.filter((name) => (env[name] ?? '') !== '')
  const values = readSettings(env, set)
  const endpoint = (env['OMIUM_S3_ENDPOINT'] ?? '') === '' ? undefined : readS3(env)
  return {
    ...(set.includes('OMIUM_KAFKA_BROKERS') && { kafkaBrokers: values.OMIUM_KAFKA_BROKERS }),
    ...(set.includes('OMIUM_SCHEMA_REGISTRY_URL') && { registryUrl: values.OMIUM_SCHEMA_REGISTRY_URL }),
    ...(set.includes('OMIUM_DATABASE_URL') && { databaseUrl: values.OMIUM_DATABASE_URL }),
    ...(values.OMIUM_REDIS_URL && { redisUrl: values.OMIUM_REDIS_URL }),
    ...(endpoint && { s3: endpoint }),
  }
}

const readS3 = (env: Record<string, string | undefined>): S3Access => {
  const s3 = readSettings(env, [
    'OMIUM_S3_ENDPOINT',
    'OMIUM_S3_REGION',
    'OMIUM_S3_BUCKET',
    'OMIUM_S3_ACCESS_KEY_ID',
    'OMIUM_S3_SECRET_ACCESS_KEY',
  ])
  const accessKeyId = s3.OMIUM_S3_ACCESS_KEY_ID
  const secretAccessKey = s3.OMIUM_S3_SECRET_ACCESS_KEY
  if (!s3.OMIUM_S3_ENDPOINT || !accessKeyId || !secretAccessKey) {
    throw new OmiumError(
      'settings_invalid',
      'with OMIUM_S3_ENDPOINT, OMIUM_S3_ACCESS_KEY_ID and OMIUM_S3_SECRET_ACCESS_KEY are required',
    )
  }
  return {
    endpoint: s3.OMIUM_S3_ENDPOINT,
    region: s3.OMIUM_S3_REGION,
    bucket: s3.OMIUM_S3_BUCKET,
    accessKeyId,
    secretAccessKey,
  }
}
