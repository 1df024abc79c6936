import { type OmiumError, type Permission, permissions, type Role, rolePermissions, roles } from '@omium/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { KeyBounds, SessionCaller } from './caller.ts'
import { type NewKey, requireMayAppoint, requireMayGive } from './giving.ts'
import { inRanges } from './ranges.ts'

const refusal = (act: () => void): string | undefined => {
  try {
    act()
    return undefined
  } catch (error) {
    expect((error as OmiumError).code).toBe('forbidden')
    return (error as Error).message
  }
}
const window = { days: ['mon' as const], from: '08:00', to: '18:00', timeZone: 'Europe/Berlin' }
const unbounded: KeyBounds = { expiresAt: undefined, ranges: [], hours: [] }
const give = (bounds: Partial<KeyBounds>, key: Partial<NewKey> = {}, held: readonly Permission[] = ['keys:write']) =>
  refusal(() =>
    requireMayGive(
      { permissions: new Set(held), bounds: { ...unbounded, ...bounds } },
      { permissions: ['keys:write'], ...key },
    ),
  )

describe('a new key', () => {
  it('has no permission that its maker has not', () => {
    expect(give({})).toBeUndefined()
    expect(give({}, { permissions: ['keys:write', 'keys:read'] })).toMatch(/keys:read$/)
    expect(refusal(() => requireMayGive({ permissions: new Set() }, { permissions: ['keys:read'] }))).toBeDefined()
    // a person is bound by the tenant alone
    expect(refusal(() => requireMayGive({ permissions: new Set(['keys:read']) }, { permissions: ['keys:read'] }))).toBe(
      undefined,
    )
  })
  it('ends no later', () => {
    expect(give({ expiresAt: 10 })).toMatch(/expiresAt/)
    expect(give({ expiresAt: 10 }, { expiresAt: 11 })).toMatch(/expiresAt/)
    expect(give({ expiresAt: 10 }, { expiresAt: 10 })).toBeUndefined()
  })
  it('works at some of the same hours', () => {
    expect(give({ hours: [window] })).toMatch(/hours/)
    expect(give({ hours: [window] }, { hours: [{ ...window, to: '19:00' }] })).toMatch(/hours/)
    expect(give({ hours: [window, { ...window, days: ['tue'] }] }, { hours: [{ ...window }] })).toBeUndefined()
  })
  it.each([
    ['10.1.0.0/16', '10.0.0.0/8', true],
    ['10.1.2.3', '10.0.0.0/8', true],
    ['10.0.0.0/8', '10.0.0.0/8', true],
    ['10.0.0.0/7', '10.0.0.0/8', false],
    ['0.0.0.0/0', '10.0.0.0/8', false],
    ['11.0.0.1', '10.0.0.0/8', false],
    ['2001:db8:1::/48', '2001:db8::/32', true],
    ['2001:db8::/31', '2001:db8::/32', false],
    ['::ffff:10.0.0.0/97', '10.0.0.0/8', false],
    ['::/0', '10.0.0.0/8', false],
    ['10.0.0.0/8', '::/0', false],
  ])('from %s lies in %s: %s', (range, own, lies) => {
    expect(give({ ranges: [own] }, { ranges: [range] }) === undefined).toBe(lies)
  })
  it('works from no address that its maker does not work from, whatever the ranges', () => {
    const address = fc.tuple(...Array.from({ length: 4 }, () => fc.nat(3))).map((parts) => parts.join('.'))
    const range = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([net, bits]) => `${net}/${bits}`)
    const ranges = fc.array(range, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(ranges, ranges, address, (own, asked, from) => {
        if (give({ ranges: own }, { ranges: asked }) === undefined && inRanges(asked, from))
          expect(inRanges(own, from)).toBe(true)
      }),
      { seed: 7, numRuns: 2_000 },
    )
  })
})

it('a role is given by a key that may do all that it permits; for people the tenant decides', () => {
  const session: SessionCaller = { userId: 'usr_a', sessionId: 'ses_a', tenant: 'ten_a', amr: [], authenticatedAt: 0 }
  const appoint = (held: readonly Permission[], role: Role, by?: SessionCaller) =>
    refusal(() => requireMayAppoint({ permissions: new Set(held), session: by }, role)) === undefined
  for (const role of roles) {
    expect(appoint(permissions, role)).toBe(true)
    expect(appoint(rolePermissions[role], role)).toBe(true)
    expect(appoint(rolePermissions[role].slice(1), role)).toBe(false)
    expect(appoint([], role, session)).toBe(true)
  }
  expect(appoint(rolePermissions.admin, 'owner')).toBe(false)
})
