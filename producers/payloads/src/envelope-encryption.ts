import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { OmiumError } from '@omium/schemas'
import type { ObjectStore } from './object-store.ts'

/**
 * Objects encrypted before they leave the process (AES-256-GCM, NIST SP 800-38D): each with a data key of its own, which is
 * stored beside it, wrapped by one of the keys of the settings.
 *
 *     "OMIUM\x01GCM"  id's length  id  check (8)  wrapped data key (60)  iv (12)  ciphertext  tag (16)
 *     "OMIUM\x01RAW"  bytes that begin with "OMIUM\x01" themselves and are stored in the clear
 *     anything else   bytes in the clear
 *
 * 1. The object's key in the store is authenticated with the content: an object put in place of another one is damaged.
 * 2. New objects are wrapped by the first key; every key that is listed can still unwrap. So keys are rotated by putting a
 *    new one in front, and an old one is left out once nothing is wrapped by it.
 * 3. What was stored before encryption was turned on stays readable.
 * 4. What is stored can be read in one way only, whatever the bytes are; a header that was changed is damage, and only a whole
 *    one can name a key that is not in the settings.
 */
export interface WrappingKey {
  readonly id: string
  readonly key: Buffer
}

const marker = Buffer.from('OMIUM\x01')
const sealedMark = Buffer.concat([marker, Buffer.from('GCM')])
const clearMark = Buffer.concat([marker, Buffer.from('RAW')])
const checkBytes = 8
const ivBytes = 12
const tagBytes = 16
const keyBytes = 32
const wrappedBytes = ivBytes + keyBytes + tagBytes

/** iv, ciphertext, tag */
const encrypt = (key: Buffer, plain: Buffer, context: string): Buffer => {
  const iv = randomBytes(ivBytes)
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context))
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

const decrypt = (key: Buffer, sealed: Buffer, context: string): Buffer => {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, ivBytes), { authTagLength: tagBytes })
  decipher.setAAD(Buffer.from(context)).setAuthTag(sealed.subarray(sealed.length - tagBytes))
  return Buffer.concat([decipher.update(sealed.subarray(ivBytes, sealed.length - tagBytes)), decipher.final()])
}

const damaged = (objectKey: string, cause?: unknown): OmiumError =>
  new OmiumError('object_corrupt', `object ${objectKey} cannot be decrypted: it was changed or cut`, { cause })

const startsWith = (body: Buffer, start: Buffer): boolean => body.subarray(0, start.length).equals(start)

/** Tells whether the header is as it was written, of whatever key, and belongs to this object. */
const checkOf = (objectKey: string, header: Buffer): Buffer =>
  createHash('sha256').update(header).update(objectKey).digest().subarray(0, checkBytes)

const open = (keys: readonly WrappingKey[], objectKey: string, stored: Buffer): Buffer => {
  if (!startsWith(stored, marker)) return stored
  if (startsWith(stored, clearMark)) return stored.subarray(clearMark.length)
  if (!startsWith(stored, sealedMark)) throw damaged(objectKey)
  const checkAt = sealedMark.length + 1 + (stored[sealedMark.length] ?? 0)
  const wrappedAt = checkAt + checkBytes
  const bodyAt = wrappedAt + wrappedBytes
  const header = stored.subarray(0, checkAt)
  if (
    stored.length < bodyAt + ivBytes + tagBytes ||
    !stored.subarray(checkAt, wrappedAt).equals(checkOf(objectKey, header))
  ) {
    throw damaged(objectKey)
  }
  const id = header.subarray(sealedMark.length + 1).toString()
  const wrapping = keys.find((key) => key.id === id)
  if (!wrapping) {
    throw new OmiumError(
      'settings_invalid',
      `object ${objectKey} is encrypted with key ${id}, which is not in the settings`,
    )
  }
  try {
    const dataKey = decrypt(wrapping.key, stored.subarray(wrappedAt, bodyAt), `key:${objectKey}`)
    return decrypt(dataKey, stored.subarray(bodyAt), objectKey)
  } catch (cause) {
    throw damaged(objectKey, cause)
  }
}

const seal = ({ id, key }: WrappingKey, objectKey: string, body: Buffer): Buffer => {
  const dataKey = randomBytes(keyBytes)
  const name = Buffer.from(id)
  const header = Buffer.concat([sealedMark, Buffer.from([name.length]), name])
  return Buffer.concat([
    header,
    checkOf(objectKey, header),
    encrypt(key, dataKey, `key:${objectKey}`),
    encrypt(dataKey, body, objectKey),
  ])
}

const inTheClear = (body: Buffer): Buffer => (startsWith(body, marker) ? Buffer.concat([clearMark, body]) : body)

/** The same store with encrypted contents; without keys nothing is encrypted. */
export const withEnvelopeEncryption = (objects: ObjectStore, keys: readonly WrappingKey[]): ObjectStore => {
  const [current] = keys
  return {
    ...objects,
    put: (objectKey, body) => objects.put(objectKey, current ? seal(current, objectKey, body) : inTheClear(body)),
    get: async (objectKey) => open(keys, objectKey, await objects.get(objectKey)),
  }
}
