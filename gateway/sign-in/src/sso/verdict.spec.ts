import { describe, expect, it } from 'vitest'
import { attributesOfClaims, personIn } from './attributes.ts'
import { judge } from './verdict.ts'

const connection = {
  ownDomains: ['corp.example'],
  rules: [
    { attribute: 'groups', value: 'ops', role: 'operator' },
    { attribute: 'realm_access.roles', value: 'dev', role: 'developer' },
  ],
  defaultRole: null,
} as const
const account = (email: string | undefined) => ({
  method: 'oidc' as const,
  issuer: 'omium:sso:ten_a/sso_a',
  subject: 'x',
  email,
  name: undefined,
  amr: [],
  authenticatedAt: 0,
})
const judged = (email: string | undefined, claims: Record<string, unknown>, changes = {}) => {
  const { role, refusal } = judge(
    { ...connection, ...changes },
    { account: account(email), attributes: attributesOfClaims(claims) },
  )
  return refusal?.code ?? role
}

describe('what an identity provider says about somebody', () => {
  it('gives the role of the first rule that fits, else the default, else none', () => {
    expect(judged('Jane@Corp.example', { groups: ['x', 'ops'], realm_access: { roles: ['dev'] } })).toBe('operator')
    expect(judged('jane@corp.example', { realm_access: { roles: ['dev'] } })).toBe('developer')
    expect(judged('jane@corp.example', { groups: 'op' }, { defaultRole: 'viewer' })).toBe('viewer')
    expect(judged('jane@corp.example', { groups: 'OPS' })).toBe('sso_role_none')
  })
  it.each([
    undefined,
    'jane',
    'jane@evil.example',
    'jane@sub.corp.example',
    'jane@corp.example.evil.example',
    'jane@corp.example@evil.example',
    '"jane@corp.example"@evil.example',
    'jane@corp.example\n@evil.example',
    'jane@corp.exampl\u0435',
  ])('counts for addresses of its own domains only: %j', (email) => {
    expect(judged(email, { groups: ['ops'] })).toBe('sso_address_refused')
  })
  it('is read without following what is nested without end', () => {
    const deep: Record<string, unknown> = {}
    deep['self'] = deep
    expect([...attributesOfClaims({ deep, n: 1, ok: true, none: null }).keys()]).toEqual(['n', 'ok'])
  })
  it('has the address where the connection says, or where it usually is', () => {
    const attributes = new Map([
      ['mail', ['a@x.example']],
      ['upn', ['b@x.example']],
    ])
    expect(personIn(attributes, 'c@x.example', {}).email).toBe('a@x.example')
    expect(personIn(attributes, 'c@x.example', { emailAttribute: 'upn' }).email).toBe('b@x.example')
    expect(personIn(new Map(), 'c@x.example', {}).email).toBe('c@x.example')
    // one that is named and not there is not guessed
    expect(personIn(new Map(), 'c@x.example', { emailAttribute: 'upn' }).email).toBeUndefined()
  })
})
