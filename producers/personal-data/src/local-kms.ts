import { randomBytes } from 'node:crypto'
import { OmiumError } from '@omium/schemas'
import { decrypt, encrypt } from './gcm.ts'
import type { KmsAdapter } from './kms.ts'

export interface MasterKey {
  /** 1 to 100 characters; stays with what it has wrapped */
  readonly id: string
  /** 32 bytes */
  readonly key: Buffer
}

/** what came before subjects were bound has no mark: it begins with the length of an id, which is never 0 */
const mark = 0
const contextOf = (subject: string): string => `omium.kms.v2:${subject}`
const unboundContext = 'omium.kms.v1'

interface Parts {
  readonly id: string
  readonly body: Uint8Array
  readonly bound: boolean
}

const partsOf = (wrapped: Uint8Array): Parts => {
  const bound = wrapped[0] === mark
  const from = bound ? 2 : 1
  const bodyAt = from + (wrapped[from - 1] ?? 0)
  return { id: Buffer.from(wrapped.subarray(from, bodyAt)).toString(), body: wrapped.subarray(bodyAt), bound }
}

/**
 * Keys from the settings: the first wraps, all of them unwrap. A wrapped key is `0, length of id, id, nonce, ciphertext, tag`.
 * @throws OmiumError `settings_invalid` without any
 */
export const createLocalKms = (masterKeys: readonly MasterKey[]): KmsAdapter => {
  const [current] = masterKeys
  if (!current) throw new OmiumError('settings_invalid', 'OMIUM_MASTER_KEYS: at least one is needed')
  const wrap = (bytes: Uint8Array, subject: string): Buffer => {
    const id = Buffer.from(current.id)
    return Buffer.concat([Buffer.from([mark, id.length]), id, encrypt(current.key, bytes, contextOf(subject))])
  }
  return {
    generate: async (subject) => {
      const key = randomBytes(32)
      return { key, wrapped: wrap(key, subject) }
    },
    wrap: async (bytes, subject) => wrap(bytes, subject),
    unwrap: async (wrapped, subject) => {
      const { id, body, bound } = partsOf(wrapped)
      const master = masterKeys.find((one) => one.id === id)
      if (!master) throw new OmiumError('settings_invalid', `OMIUM_MASTER_KEYS: the key ${id} is needed, and not there`)
      return decrypt(master.key, body, bound ? contextOf(subject) : unboundContext)
    },
    isCurrent: (wrapped) => {
      const { id, bound } = partsOf(wrapped)
      return bound && id === current.id
    },
    owns: (wrapped) => (wrapped[0] ?? 255) <= 100,
    close: () => undefined,
  }
}
