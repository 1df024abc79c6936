import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { OmiumError } from '@omium/schemas'
import type { ObjectStore } from './object-store.ts'

/**
 * Objects encrypted before they leave the process (AES-256-GCM, NIST SP 800-38D): each with a data key of its own, which is
 * stored beside it, wrapped by one of the keys of the settings.
 *
 * 1. The object's key in the store is authenticated with the content: an object put in place of another one is damaged.
 * 2. New objects are wrapped by the first key; every key that is listed can still unwrap. So keys are rotated by putting a
 *    new one in front, and an old one is left out once nothing is wrapped by it.
 * 3. What was stored before encryption was turned on stays readable.
 */
export interface WrappingKey {
  readonly id: string
  readonly key: Buffer
}

const magic = Buffer.from('OMIUM\x01GCM')
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

const open = (keys: readonly WrappingKey[], objectKey: string, stored: Buffer): Buffer => {
  if (!stored.subarray(0, magic.length).equals(magic)) return stored
  const idLength = stored[magic.length] ?? 0
  const wrappedAt = magic.length + 1 + idLength
  const bodyAt = wrappedAt + wrappedBytes
  if (stored.length < bodyAt + ivBytes + tagBytes) throw damaged(objectKey)
  const id = stored.subarray(magic.length + 1, wrappedAt).toString()
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
  return Buffer.concat([
    magic,
    Buffer.from([name.length]),
    name,
    encrypt(key, dataKey, `key:${objectKey}`),
    encrypt(dataKey, body, objectKey),
  ])
}

/** The same store with encrypted contents; without keys nothing is encrypted. */
export const withEnvelopeEncryption = (objects: ObjectStore, keys: readonly WrappingKey[]): ObjectStore => {
  const [current] = keys
  return {
    ...objects,
    put: (objectKey, body) => objects.put(objectKey, current ? seal(current, objectKey, body) : body),
    get: async (objectKey) => open(keys, objectKey, await objects.get(objectKey)),
  }
}
