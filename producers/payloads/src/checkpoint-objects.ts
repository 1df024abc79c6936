import { createHash } from 'node:crypto'
import { checkpointObjectKey, maxCheckpointBytes, type ObjectRef, OmiumError } from '@omium/schemas'
import type { ObjectStore } from './object-store.ts'

/** The bytes of checkpoints: stored under a key that tells their hash, verified on every read. */
export interface CheckpointObjects {
  /** @throws OmiumError `payload_too_large` above 50 MiB, `unavailable` */
  store(tenant: string, threadId: string, body: Buffer): Promise<ObjectRef>
  /** @throws OmiumError `object_missing`, `object_corrupt`, `unavailable` */
  load(ref: ObjectRef): Promise<Buffer>
}

export const createCheckpointObjects = (objects: ObjectStore, nowMs: () => number): CheckpointObjects => ({
  async store(tenant, threadId, body) {
    if (body.length > maxCheckpointBytes) {
      const detail = `the state has ${body.length} bytes, ${maxCheckpointBytes} are allowed; keep large files elsewhere and refer to them`
      throw new OmiumError('payload_too_large', detail)
    }
    const sha256 = createHash('sha256').update(body).digest('hex')
    const key = checkpointObjectKey(tenant, threadId, sha256, nowMs())
    await objects.put(key, body)
    return { key, bytes: body.length, sha256 }
  },
  async load({ key, bytes, sha256 }) {
    const body = await objects.get(key)
    if (body.length !== bytes || createHash('sha256').update(body).digest('hex') !== sha256) {
      throw new OmiumError('object_corrupt', `object ${key} does not match its checksum`)
    }
    return body
  },
})
