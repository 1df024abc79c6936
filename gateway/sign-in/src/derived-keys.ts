import { hkdfSync } from 'node:crypto'

/** What a derived key is for. A key of one purpose opens and proves nothing of another. */
export type Purpose =
  | 'refresh-token'
  | 'provider-transaction'
  | 'magic-link'
  | 'magic-link-secret'
  | 'device-grant'
  | 'factor-ceremony'
  | 'pending-sign-in'

/** 32 bytes, the same in every gateway of the installation (HKDF-SHA-256, RFC 5869). */
export const derivedKey = (tokenSecret: string, purpose: Purpose): Buffer =>
  Buffer.from(hkdfSync('sha256', tokenSecret, '', `omium.sign-in.${purpose}.v1`, 32))
