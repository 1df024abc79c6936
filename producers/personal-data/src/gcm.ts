import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce: `nonce, ciphertext, tag` in one. */

const nonceBytes = 12
const tagBytes = 16

export const encrypt = (key: Uint8Array, plain: Uint8Array, context: string): Buffer => {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** @throws Error when it was changed, or belongs to another key or context */
export const decrypt = (key: Uint8Array, sealed: Uint8Array, context: string): Buffer => {
  if (sealed.length < nonceBytes + tagBytes) throw new RangeError('too short to have been encrypted')
  const bytes = Buffer.from(sealed)
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
  decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(bytes.length - tagBytes))
  return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, bytes.length - tagBytes)), decipher.final()])
}
