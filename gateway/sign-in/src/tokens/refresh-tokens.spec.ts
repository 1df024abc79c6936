import { describe, expect, it } from 'vitest'
import { derivedKey } from '../derived-keys.ts'
import { createRefreshTokens } from './refresh-tokens.ts'

const secret = 'a'.repeat(32)
const tokens = createRefreshTokens(derivedKey(secret, 'refresh-token'))
const claims = { userId: 'usr_a', sessionId: 'ses_a', generation: 3 }

describe('a refresh token', () => {
  it('says whose it is, the same in every gateway', () => {
    expect(tokens.verify(tokens.mint(claims))).toEqual(claims)
    expect(createRefreshTokens(derivedKey(secret, 'refresh-token')).mint(claims)).toBe(tokens.mint(claims))
  })
  it('cannot be made up or changed', () => {
    const [user, session, generation, mac] = tokens.mint(claims).split('.') as [string, string, string, string]
    const forged = [
      `usr_b.${session}.${generation}.${mac}`,
      `${user}.ses_b.${generation}.${mac}`,
      `${user}.${session}.4.${mac}`,
      `${user}.${session}.03.${mac}`,
      `${user}.${session}.${generation}.${'A'.repeat(43)}`,
      `${user}.${session}.${generation}.${mac}=`,
      `${user}.${session}.${generation}`,
      // another spelling of the same bytes: the last of 43 characters carries two bits that decoders ignore
      `${user}.${session}.${generation}.${mac.slice(0, -1)}${String.fromCharCode(mac.charCodeAt(42) + 1)}`,
      `x${tokens.mint(claims)}`,
      '',
      '...',
    ]
    for (const token of forged)
      expect(() => tokens.verify(token), token).toThrow(expect.objectContaining({ code: 'session_ended' }))
  })
  it('of another installation, or for another purpose, is none', () => {
    for (const key of [derivedKey('b'.repeat(32), 'refresh-token'), derivedKey(secret, 'magic-link')])
      expect(() => tokens.verify(createRefreshTokens(key).mint(claims))).toThrow(/sign in again/)
  })
})
