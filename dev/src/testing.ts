import { randomBytes, randomUUID } from 'node:crypto'
import { OmiumError } from '@omium/schemas'
import pg from 'pg'
import { inject } from 'vitest'
import type { Endpoints } from './stack.ts'
import { foundTenant } from './testing/found-tenant.ts'
import { platformOn, schemaPrefix } from './testing/platform.ts'
import type { RunningStack } from './up.ts'

export { ensureChromium } from './chromium.ts'
export { gatewayDatabaseUrl } from './gateway-database.ts'
export { type CaughtMail, startMailCatcher } from './mail-catcher.ts'
export { ensurePythonTool } from './python.ts'
export { type BrokerHandle, type Cluster, startBrokers } from './testing/brokers.ts'
export { eventually } from './testing/eventually.ts'
export { foundTenant } from './testing/found-tenant.ts'
export type { OwnComponent } from './testing/own-component.ts'
export { startPostgres } from './testing/postgres.ts'
export { startRedis } from './testing/redis.ts'
export { freshSecrets, newApiKey } from './testing/secrets.ts'
export { type ServiceHandle, type SpawnOptions, spawnService } from './testing/spawn-service.ts'
export type TestStack = Endpoints

declare module 'vitest' {
  export interface ProvidedContext {
    omiumStack: Endpoints
    omiumPlatformUrl: string
  }
}

/**
 * The real services that this run's specs share.
 * @throws OmiumError `unavailable` outside of `.int.spec.ts` and `.e2e.spec.ts`
 */
export const testStack = (): TestStack => {
  const stack = inject('omiumStack')
  if (!stack) throw new OmiumError('unavailable', 'there is no stack here: name the file .int.spec.ts or .e2e.spec.ts')
  return stack
}

/** A new, empty database for one spec file; returns its URL. It goes with the stack. */
export const freshDatabase = async (): Promise<string> => {
  const url = new URL(testStack().databaseUrl)
  const name = `spec_${randomUUID().replaceAll('-', '')}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
  } finally {
    await client.end()
  }
  url.pathname = `/${name}`
  return url.href
}

/** A topic prefix that no other spec file uses. */
export const freshPrefix = (): string => `spec-${randomBytes(5).toString('hex')}`

/** Settings of processes on the services of this run, but for database and Redis: with topics of their own, and the run's schemas. */
export const stackSettings = (topicPrefix = freshPrefix()): Record<string, string> => {
  const { kafkaBrokers, registryUrl, s3 } = testStack()
  return {
    OMIUM_KAFKA_BROKERS: kafkaBrokers.join(','),
    OMIUM_SCHEMA_REGISTRY_URL: registryUrl,
    OMIUM_SCHEMA_PREFIX: schemaPrefix,
    OMIUM_TOPIC_PREFIX: topicPrefix,
    OMIUM_S3_ENDPOINT: s3.endpoint,
    OMIUM_S3_REGION: s3.region,
    OMIUM_S3_BUCKET: s3.bucket,
    OMIUM_S3_ACCESS_KEY_ID: s3.accessKeyId,
    OMIUM_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
  }
}

/** The platform as a tenant sees it. */
export interface TenantOfPlatform {
  /** as programs of the tenant get it, with its API key */
  readonly environment: Record<string, string>
  readonly url: string
  readonly apiKey: string
}

/** A new tenant, with every permission, on the platform that the end-to-end specs of this run share: nothing in it may be killed. */
export const tenantOfPlatform = async (): Promise<TenantOfPlatform> => {
  const response = await fetch(inject('omiumPlatformUrl'))
  if (!response.ok) throw new Error(`the shared platform did not start: ${await response.text()}`)
  const { environment } = (await response.json()) as { environment: Record<string, string> }
  const apiKey = await foundTenant(environment, `ten_${randomBytes(5).toString('hex')}`)
  return { environment: { ...environment, OMIUM_API_KEY: apiKey }, url: environment['OMIUM_URL'] ?? '', apiKey }
}

/** The platform's processes (all, or those named) on the shared services, with a database and topics of this spec file's own. Stop it at the end. */
export const testPlatform = async (
  env: Record<string, string> = {},
  wanted?: readonly string[],
): Promise<RunningStack> =>
  platformOn(testStack(), { databaseUrl: await freshDatabase(), topicPrefix: freshPrefix() }, env, wanted)
