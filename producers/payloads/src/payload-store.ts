import { createHash } from 'node:crypto'
import { inlineLimitBytes, type JsonValue, OmiumError, type Payload } from '@omium/schemas'
import type { ObjectStore } from './object-store.ts'

/** The largest value that Omium carries, as JSON text in UTF-8. */
export const maxPayloadBytes = 10 * 1024 * 1024

/**
 * Values on the log: small ones travel in the record, larger ones by reference to an object whose key is the hash of its
 * content. Sealing the same value twice therefore stores one object, and a reference can be trusted for ever.
 */
export interface PayloadStore {
  /**
   * @throws OmiumError `payload_too_large` above {@link maxPayloadBytes}, `output_invalid` for what JSON cannot carry,
   * `unavailable` when the object store is
   */
  seal(tenant: string, executionId: string, value: JsonValue): Promise<Payload>
  /** @throws OmiumError `object_missing`, `object_corrupt` (the checksum is verified on every read), `unavailable` */
  open(payload: Payload): Promise<JsonValue>
}

const sha256 = (body: Buffer): string => createHash('sha256').update(body).digest('hex')

export const createPayloadStore = (objects: ObjectStore): PayloadStore => ({
  async seal(tenant, executionId, value) {
    const text = JSON.stringify(value)
    if (text === undefined) throw new OmiumError('output_invalid', 'the value cannot be written as JSON')
    // UTF-8 takes at most three bytes for each UTF-16 unit
    if (text.length * 3 <= inlineLimitBytes) return { inline: value }
    const body = Buffer.from(text)
    if (body.length <= inlineLimitBytes) return { inline: value }
    if (body.length > maxPayloadBytes) {
      const detail = `the value has ${body.length} bytes, ${maxPayloadBytes} are allowed; store it elsewhere and pass a reference`
      throw new OmiumError('payload_too_large', detail)
    }
    const hash = sha256(body)
    const key = `payloads/${tenant}/${executionId}/${hash}`
    await objects.put(key, body)
    return { ref: { key, bytes: body.length, sha256: hash } }
  },

  async open(payload) {
    if ('inline' in payload) return payload.inline
    const { key, bytes, sha256: expected } = payload.ref
    const body = await objects.get(key)
    if (body.length !== bytes || sha256(body) !== expected) {
      throw new OmiumError(
        'object_corrupt',
        `object ${key} does not match the checksum in the record that refers to it`,
      )
    }
    return JSON.parse(body.toString('utf8')) as JsonValue
  },
})
