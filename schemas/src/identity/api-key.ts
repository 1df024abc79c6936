import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { z } from 'zod'
import { type KeyEnvironment, type KeyHash, keyEnvironments } from './model.ts'

/**
 * What an API key looks like: `om_<environment>_<id>_<secret><checksum>`. The id (64 random bits) finds it, the secret (160
 * random bits) proves it, the checksum (CRC-32 of everything before it) tells a mistyped or invented key without asking
 * anybody. All of it is base62, so that a double click selects it and scanners for leaked secrets find it.
 */

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const idChars = 11
const secretChars = 27
const checksumChars = 6
/** the first of its bytes: they become the id */
export const apiKeyIdBytes = 8
const secretBytes = 20
/** how many random bytes {@link formatApiKey} needs */
export const apiKeyBytes = apiKeyIdBytes + secretBytes

const pattern = new RegExp(
  `^(om_(${keyEnvironments.join('|')})_([0-9A-Za-z]{${idChars}})_[0-9A-Za-z]{${secretChars}})([0-9A-Za-z]{${checksumChars}})$`,
)

const base62 = (value: bigint, chars: number): string => {
  let text = ''
  for (let rest = value; text.length < chars; rest /= 62n) text = alphabet[Number(rest % 62n)] + text
  return text
}

const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)

const checksumOf = (text: string): string => base62(BigInt(crc32(text)), checksumChars)

export interface ApiKeyParts {
  /** `key_` and the id inside of the key: the id of its aggregate */
  readonly keyId: string
  readonly environment: KeyEnvironment
  /** what of it may be shown: everything before the secret */
  readonly prefix: string
}

/** @param random `apiKeyBytes` of them, from a cryptographic source */
export const formatApiKey = (environment: KeyEnvironment, random: Uint8Array): string => {
  if (random.length !== apiKeyBytes) throw new RangeError(`an API key is made of ${apiKeyBytes} random bytes`)
  const id = base62(numberOf(random.subarray(0, apiKeyIdBytes)), idChars)
  const secret = base62(numberOf(random.subarray(apiKeyIdBytes)), secretChars)
  const text = `om_${environment}_${id}_${secret}`
  return `${text}${checksumOf(text)}`
}

/** undefined for what cannot be a key: another form, or a checksum that does not fit. */
export const parseApiKey = (text: string): ApiKeyParts | undefined => {
  const [, body, environment, id, checksum] = pattern.exec(text) ?? []
  if (body === undefined || id === undefined || checksum !== checksumOf(body)) return undefined
  return {
    keyId: `key_${id}`,
    environment: environment as KeyEnvironment,
    prefix: body.slice(0, body.length - secretChars - 1),
  }
}

export const apiKey = z.string().refine((text) => parseApiKey(text) !== undefined, 'expected an API key of Omium')

/** A key of the platform under which API keys are hashed; without it a stolen table is worth nothing. */
export interface Pepper {
  readonly version: number
  /** 32 bytes; as a KeyObject it is made ready once, and each HMAC costs a fifth */
  readonly key: Buffer | KeyObject
}

/** @param settings of OMIUM_KEY_PEPPERS */
export const peppersOf = (settings: readonly { readonly id: string; readonly key: Buffer }[]): readonly Pepper[] =>
  settings.map(({ id, key }) => ({ version: Number(id), key: createSecretKey(key) }))

const digestOf = (key: string, pepper: Pepper): Buffer => createHmac('sha256', pepper.key).update(key).digest()

/** How a new key is stored: under the first pepper. */
export const hashApiKey = (key: string, [current]: readonly Pepper[]): KeyHash => {
  if (!current) throw new RangeError('there is no pepper')
  return { digest: digestOf(key, current).toString('hex'), pepper: current.version }
}

/** Whether this is the key of that hash; never, when its pepper is not there any more. */
export const isKeyOf = (key: string, { digest, pepper }: KeyHash, peppers: readonly Pepper[]): boolean => {
  const found = peppers.find(({ version }) => version === pepper)
  const stored = Buffer.from(digest, 'hex')
  const computed = found && digestOf(key, found)
  return computed !== undefined && computed.length === stored.length && timingSafeEqual(computed, stored)
}
