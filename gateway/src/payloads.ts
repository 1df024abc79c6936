import type { JsonValue, Payload } from '@omium/schemas'

/** Where values too large for a record live; the gateway's view of the payload store. */
export interface Payloads {
  /** inline when small, otherwise stored and referenced. @throws OmiumError `payload_too_large` */
  seal(tenant: string, executionId: string, value: JsonValue): Promise<Payload>
  /** @throws OmiumError `object_missing`, `object_corrupt` */
  open(payload: Payload): Promise<JsonValue>
}
