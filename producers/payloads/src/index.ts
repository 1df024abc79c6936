export type { ObjectStore } from './object-store.ts'
export { createPayloadStore, maxPayloadBytes, type PayloadStore } from './payload-store.ts'
export { createS3ObjectStore, type S3Options } from './s3-object-store.ts'
export { createSnapshotStore } from './snapshot-store.ts'
