import { describe, expect, it } from 'vitest'
import { freshProofMs, requireDemandedFactor, requireFreshProof } from './step-up.ts'

const nowMs = 1_700_000_000_000
const refusal = (act: () => void): unknown => {
  try {
    act()
    return undefined
  } catch (error) {
    const { code, data } = error as { code: string; data?: unknown }
    return { code, data }
  }
}
const signIn = { code: 'step_up_required', data: { accepts: ['sign_in'] } }
const factor = { code: 'step_up_required', data: { accepts: ['totp', 'recovery_code'] } }

describe('a fresh proof', () => {
  it.each([
    ['a sign-in of now', { authenticatedAt: nowMs, mfaAt: undefined }, [], undefined],
    ['a sign-in of ten minutes ago', { authenticatedAt: nowMs - freshProofMs, mfaAt: undefined }, [], undefined],
    ['an older sign-in', { authenticatedAt: nowMs - freshProofMs - 1, mfaAt: undefined }, [], signIn],
    ['a sign-in that nobody knows the time of', { authenticatedAt: 0, mfaAt: undefined }, [], signIn],
    ['a sign-in of who has a factor', { authenticatedAt: nowMs, mfaAt: undefined }, ['totp' as const], factor],
    ['a factor of ten minutes ago', { authenticatedAt: 0, mfaAt: nowMs - freshProofMs }, ['totp' as const], undefined],
    ['an older factor', { authenticatedAt: nowMs, mfaAt: nowMs - freshProofMs - 1 }, ['totp' as const], factor],
  ])('with %s', (_what, proofs, factors, expected) => {
    expect(refusal(() => requireFreshProof(proofs, factors, nowMs))).toEqual(expected)
  })
})

it('a tenant that demands a factor is open to who proved one, at whatever time', () => {
  const proved = { authenticatedAt: 0, mfaAt: 1 }
  expect(refusal(() => requireDemandedFactor(proved, ['passkey']))).toBeUndefined()
  expect(refusal(() => requireDemandedFactor({ ...proved, mfaAt: undefined }, ['totp']))).toEqual(factor)
  expect(refusal(() => requireDemandedFactor(proved, []))).toMatchObject({ code: 'mfa_enrolment_required' })
})
