import { createHmac, timingSafeEqual } from 'node:crypto'

/** A key of the platform under which API keys are hashed; without it a stolen table is worth nothing. */
export interface Pepper {
  readonly version: number
  /** 32 bytes */
  readonly key: Buffer
}

export interface KeyHash {
  /** HMAC-SHA-256, hex */
  readonly digest: string
  readonly pepper: number
}

/** @param settings of OMIUM_KEY_PEPPERS */
export const peppersOf = (settings: readonly { readonly id: string; readonly key: Buffer }[]): readonly Pepper[] =>
  settings.map(({ id, key }) => ({ version: Number(id), key }))

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
