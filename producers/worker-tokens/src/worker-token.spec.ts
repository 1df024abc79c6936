import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mintWorkerToken, verifyWorkerToken } from './worker-token.ts'

const secret = 'a secret of at least thirty-two characters'
const claims = { tenant: 'ten_a', keyId: 'key_1', expiresAt: 2000 }

describe('worker tokens', () => {
  it('carry their claims until they expire', () => {
    const token = mintWorkerToken(secret, claims)
    expect(verifyWorkerToken(secret, token, 1999)).toEqual(claims)
    expect(() => verifyWorkerToken(secret, token, 2000)).toThrow(/expired/)
  })
  it('of another installation are refused', () => {
    const token = mintWorkerToken(`${secret}!`, claims)
    expect(() => verifyWorkerToken(secret, token, 0)).toThrow(expect.objectContaining({ code: 'unauthenticated' }))
  })
  it('whatever is sent instead, are refused as unauthenticated', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(200), (noise, cut) => {
        const forged = mintWorkerToken(secret, claims).slice(0, cut) + noise
        if (forged === mintWorkerToken(secret, claims)) return
        expect(() => verifyWorkerToken(secret, forged, 0)).toThrow(expect.objectContaining({ code: 'unauthenticated' }))
      }),
    )
  })
})
