import { expect, it } from 'vitest'
import { trustedAddress } from './address-trust.ts'

const claims = (email: unknown, verified: unknown = true, hd?: string) => ({
  sub: 's',
  email,
  email_verified: verified,
  hd,
})

it('believes a provider about what it calls verified only, and only as far as the settings trust it', () => {
  expect(trustedAddress(claims('a@b.example'), 'verified')).toBe('a@b.example')
  for (const verified of [false, 'true', 1, null])
    expect(trustedAddress(claims('a@b.example', verified), 'verified')).toBeUndefined()
  expect(trustedAddress({ sub: 's', email: 'a@b.example' }, 'verified')).toBeUndefined()
  expect(trustedAddress(claims('a@B.example'), ['b.example'])).toBe('a@B.example')
  for (const email of ['a@evil.example', 'a@x.b.example', 'a@b.example@evil.example', 'b.example', 42, undefined])
    expect(trustedAddress(claims(email), ['b.example'])).toBeUndefined()
  expect(trustedAddress(claims('a@b.example'), [])).toBeUndefined()
})

it('believes Google about its own mail and about domains that it manages', () => {
  expect(trustedAddress(claims('a@gmail.com'), 'google')).toBe('a@gmail.com')
  expect(trustedAddress(claims('a@b.example', true, 'b.example'), 'google')).toBe('a@b.example')
  expect(trustedAddress(claims('a@b.example'), 'google')).toBeUndefined()
  expect(trustedAddress(claims('a@b.example', true, 'evil.example'), 'google')).toBeUndefined()
})
