import type { OwnerOptions } from '@omium/log'
import { createS3ObjectStore, type ObjectStore } from '@omium/payloads'
import type { Settings } from '@omium/schemas'
import type { Logger } from './logger.ts'

export const objectSettings = [
  'OMIUM_S3_ENDPOINT',
  'OMIUM_S3_REGION',
  'OMIUM_S3_BUCKET',
  'OMIUM_S3_ACCESS_KEY_ID',
  'OMIUM_S3_SECRET_ACCESS_KEY',
] as const
export type ObjectSettings = Settings<(typeof objectSettings)[number]>

/** What the log core has to say, as log lines. */
export const noticesTo =
  (logger: Logger): OwnerOptions<unknown>['onNotice'] =>
  ({ level, message, fields }) =>
    logger[level](fields, message)

/** @throws OmiumError `unavailable` */
export const openObjects = (settings: ObjectSettings): Promise<ObjectStore> =>
  createS3ObjectStore({
    endpoint: settings.OMIUM_S3_ENDPOINT,
    region: settings.OMIUM_S3_REGION,
    bucket: settings.OMIUM_S3_BUCKET,
    accessKeyId: settings.OMIUM_S3_ACCESS_KEY_ID,
    secretAccessKey: settings.OMIUM_S3_SECRET_ACCESS_KEY,
  })
