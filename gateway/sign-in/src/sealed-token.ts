import { OmiumError } from '@omium/schemas'
import { EncryptJWT, jwtDecrypt } from 'jose'
import type { z } from 'zod'

/**
 * What the platform tells itself through a browser or a mail: encrypted and authenticated (JWE, RFC 7516: `dir`, `A256GCM`),
 * so that neither the carrier nor anybody on the way reads or changes it. Short-lived; nothing is stored.
 */
export interface SealedTokens<T> {
  seal(content: T, livesMs: number): Promise<string>
  /** @throws OmiumError `sign_in_expired` for whatever is not a live token of this kind */
  open(token: string): Promise<T>
}

const keyManagementAlgorithms = ['dir']
const contentEncryptionAlgorithms = ['A256GCM']

export const createSealedTokens = <S extends z.ZodType<object>>(
  key: Buffer,
  schema: S,
  nowMs: () => number,
): SealedTokens<z.infer<S>> => ({
  seal: (content, livesMs) =>
    new EncryptJWT({ content })
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .setExpirationTime(new Date(nowMs() + livesMs))
      .encrypt(key),
  open: async (token) => {
    try {
      const { payload } = await jwtDecrypt(token, key, {
        keyManagementAlgorithms,
        contentEncryptionAlgorithms,
        requiredClaims: ['exp'],
        currentDate: new Date(nowMs()),
      })
      return schema.parse(payload['content'])
    } catch (cause) {
      throw new OmiumError(
        'sign_in_expired',
        'this sign-in took too long or did not begin in this browser: begin again',
        {
          cause,
        },
      )
    }
  },
})
