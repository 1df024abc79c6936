import { OmiumError } from '@omium/schemas'
import { decrypt, encrypt } from './gcm.ts'

/** Wraps keys, small values, under a key that never leaves it. Rotation is its own affair: it unwraps whatever it has wrapped. */
export interface Kms {
  wrap(bytes: Uint8Array): Promise<Uint8Array>
  /** @throws OmiumError `unavailable` (retryable), `settings_invalid` when the master key is not there any more */
  unwrap(wrapped: Uint8Array): Promise<Uint8Array>
}

export interface MasterKey {
  /** 1 to 100 characters; stays with what it has wrapped */
  readonly id: string
  /** 32 bytes */
  readonly key: Buffer
}

const context = 'omium.kms.v1'

/**
 * Keys from the settings: the first wraps, all of them unwrap. A wrapped key is `length of id, id, nonce, ciphertext, tag`.
 * @throws OmiumError `settings_invalid` without any
 */
export const createLocalKms = (masterKeys: readonly MasterKey[]): Kms => {
  const [current] = masterKeys
  if (!current) throw new OmiumError('settings_invalid', 'OMIUM_MASTER_KEYS: at least one is needed')
  return {
    wrap: async (bytes) => {
      const id = Buffer.from(current.id)
      return Buffer.concat([Buffer.from([id.length]), id, encrypt(current.key, bytes, context)])
    },
    unwrap: async (wrapped) => {
      const bodyAt = 1 + (wrapped[0] ?? 0)
      const id = Buffer.from(wrapped.subarray(1, bodyAt)).toString()
      const master = masterKeys.find((one) => one.id === id)
      if (!master) throw new OmiumError('settings_invalid', `OMIUM_MASTER_KEYS: the key ${id} is needed, and not there`)
      return decrypt(master.key, wrapped.subarray(bodyAt), context)
    },
  }
}
