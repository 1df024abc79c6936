import type {
  DomainCommand,
  DomainEvent,
  SsoConnection,
  SsoConnectionCommand,
  SsoConnectionEvent,
} from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import type { Decision } from './decision.ts'
import { decideDomain, evolveDomain, mostClaims, watchDomain } from './mail-domain.ts'
import { decideSsoConnection, evolveSsoConnection, type SsoConnectionState } from './sso-connection.ts'

const nowMs = 1_000_000
const by = 'user:usr_o'
const outcome = <E extends { type: string }>(decision: Decision<E>): string[] | string =>
  decision.status === 'decided' ? decision.events.map(({ type }) => type) : decision.code

const connection: SsoConnection = {
  name: 'Corp',
  domains: ['corp.example'],
  settings: { kind: 'oidc', issuer: 'https://idp.example', clientId: 'omium', scopes: ['openid'] },
  rules: [{ attribute: 'groups', value: 'dev', role: 'developer' }],
}
const saml: SsoConnection['settings'] = {
  kind: 'saml',
  entityId: 'x',
  ssoUrl: 'https://idp.example/sso',
  certificates: ['c'],
  key: 'v1.sso_a.1.x',
  certificate: 'c',
  idpInitiated: false,
}
const created: SsoConnectionEvent = { type: 'SsoConnectionCreated', data: { ...connection, by } }
const activated: SsoConnectionEvent = { type: 'SsoConnectionActivated', data: { by } }
const foldConnection = (events: readonly SsoConnectionEvent[]) =>
  events.reduce<SsoConnectionState | undefined>(
    (state, event) => evolveSsoConnection(state, event, { id: 'sso_a', correlationId: 'c' }),
    undefined,
  )
const connectionGiven = (...events: SsoConnectionEvent[]) => ({
  when: (command: SsoConnectionCommand, at = nowMs) =>
    outcome(decideSsoConnection(foldConnection(events), command, 'sso_a', { actor: by, nowMs: at })),
})
const assertion = 'a'.repeat(64)
const take = (expiresAt = nowMs + 1000): SsoConnectionCommand => ({
  type: 'TakeAssertion',
  data: { assertion, expiresAt },
})
const taken = (digest: string, expiresAt: number, at = nowMs): SsoConnectionEvent => ({
  type: 'AssertionTaken',
  data: { assertion: digest, expiresAt, at },
})

describe('a connection', () => {
  const create: SsoConnectionCommand = { type: 'CreateSsoConnection', data: connection }
  it('is created once; the same again is nothing new', () => {
    expect(connectionGiven().when(create)).toEqual(['SsoConnectionCreated'])
    expect(connectionGiven(created).when(create)).toEqual([])
    expect(connectionGiven(created).when({ ...create, data: { ...connection, name: 'B' } })).toBe('identity_conflict')
  })
  it('is changed as a whole, but never in its kind', () => {
    const change = (data: SsoConnection): SsoConnectionCommand => ({ type: 'ChangeSsoConnection', data })
    expect(connectionGiven(created).when(change({ ...connection, defaultRole: 'viewer' }))).toEqual([
      'SsoConnectionChanged',
    ])
    expect(connectionGiven(created).when(change(connection))).toEqual([])
    expect(connectionGiven(created).when(change({ ...connection, settings: saml }))).toBe('identity_conflict')
    expect(connectionGiven().when(change(connection))).toBe('sso_connection_unknown')
  })
  it('that was deleted is gone for ever', () => {
    const deleted: SsoConnectionEvent = { type: 'SsoConnectionDeleted', data: { by } }
    expect(connectionGiven(created, deleted).when({ type: 'ActivateSsoConnection', data: {} })).toBe(
      'sso_connection_unknown',
    )
    expect(connectionGiven(created, deleted).when(take())).toBe('sso_connection_unknown')
    expect(
      connectionGiven(created, deleted).when({ type: 'CreateSsoConnection', data: { ...connection, name: 'B' } }),
    ).toBe('identity_conflict')
  })
  it('takes an assertion once, while it is active', () => {
    const disabled: SsoConnectionEvent = { type: 'SsoConnectionDisabled', data: { by } }
    expect(connectionGiven(created).when(take())).toBe('sign_in_refused')
    expect(connectionGiven(created, activated).when(take())).toEqual(['AssertionTaken'])
    expect(connectionGiven(created, activated, taken(assertion, nowMs + 1000)).when(take())).toBe(
      'sso_assertion_refused',
    )
    expect(connectionGiven(created, activated, disabled).when(take())).toBe('sign_in_refused')
    expect(connectionGiven(created, activated).when(take(nowMs))).toBe('sso_assertion_refused')
  })
  it('remembers an assertion for as long as somebody would take it, and no longer', () => {
    const state = foldConnection([
      created,
      activated,
      taken('b'.repeat(64), nowMs + 10),
      taken('c'.repeat(64), nowMs + 5000),
      taken('d'.repeat(64), nowMs + 9000, nowMs + 10),
    ])
    expect(Object.keys(state?.taken ?? {})).toEqual(['c'.repeat(64), 'd'.repeat(64)])
  })
})

const token = (letter: string) => letter.repeat(32)
const claimed = (tenant: string): DomainEvent => ({
  type: 'DomainClaimed',
  data: { tenant, token: token(tenant.slice(-1)), by },
})
const verified = (tenant: string): DomainEvent => ({ type: 'DomainVerified', data: { tenant, by } })
const foldDomain = (events: readonly DomainEvent[]) =>
  events.reduce<ReturnType<typeof evolveDomain> | undefined>(
    (state, event) => evolveDomain(state, event, 'c'),
    undefined,
  )
const domainGiven = (...events: DomainEvent[]) => ({
  when: (command: DomainCommand, domain = 'corp.example') =>
    outcome(decideDomain(foldDomain(events), command, domain, { actor: by, nowMs })),
})
const confirm = (tenant: string, of = token(tenant.slice(-1))): DomainCommand => ({
  type: 'ConfirmDomain',
  data: { tenant, token: of },
})
const claim = (tenant: string): DomainCommand => ({ type: 'ClaimDomain', data: { tenant, token: token('x') } })

describe('a domain', () => {
  it('may be claimed by anybody, and belongs to the first that proves it', () => {
    expect(domainGiven(claimed('ten_a')).when(claim('ten_b'))).toEqual(['DomainClaimed'])
    expect(domainGiven(claimed('ten_a'), claimed('ten_b')).when(confirm('ten_b'))).toEqual(['DomainVerified'])
    expect(domainGiven(claimed('ten_a'), claimed('ten_b'), verified('ten_b')).when(confirm('ten_a'))).toBe(
      'domain_taken',
    )
  })
  it('is proved with the token of the own claim only', () => {
    expect(domainGiven(claimed('ten_a'), claimed('ten_b')).when(confirm('ten_a', token('b')))).toBe('domain_unverified')
    expect(domainGiven().when(confirm('ten_a'))).toBe('domain_unknown')
  })
  it('claimed again keeps its token', () => {
    expect(domainGiven(claimed('ten_a')).when(claim('ten_a'))).toEqual([])
  })
  it("of public mail is nobody's", () => {
    for (const domain of ['gmail.com', 'outlook.com', 'icloud.com'])
      expect(domainGiven().when(claim('ten_a'), domain)).toBe('domain_refused')
  })
  it('is not claimed by any number of tenants', () => {
    const many = Array.from({ length: mostClaims }, (_, i) => claimed(`ten_${i}`))
    expect(domainGiven(...many).when(claim('ten_z'))).toBe('domain_refused')
  })
  it('released is free for others', () => {
    const released: DomainEvent = { type: 'DomainReleased', data: { tenant: 'ten_a', by } }
    expect(
      domainGiven(claimed('ten_a'), verified('ten_a')).when({ type: 'ReleaseDomain', data: { tenant: 'ten_a' } }),
    ).toEqual(['DomainReleased'])
    expect(domainGiven(claimed('ten_a'), claimed('ten_b'), verified('ten_a'), released).when(confirm('ten_b'))).toEqual(
      ['DomainVerified'],
    )
  })
  it('whose record is gone goes on for a grace, then lapses', () => {
    const graceMs = 1_000
    const watched = (found: string | undefined, at: number, ...events: DomainEvent[]) =>
      watchDomain(
        foldDomain([claimed('ten_a'), ...events]) as NonNullable<ReturnType<typeof foldDomain>>,
        (one) => one === found,
        at,
        graceMs,
      ).map(({ type }) => type)
    const missed: DomainEvent = { type: 'DomainRecordMissed', data: { tenant: 'ten_a', at: nowMs } }
    expect(watched(token('a'), nowMs, verified('ten_a'))).toEqual([])
    expect(watched(undefined, nowMs)).toEqual([])
    expect(watched(undefined, nowMs, verified('ten_a'))).toEqual(['DomainRecordMissed'])
    expect(watched(token('b'), nowMs, verified('ten_a'))).toEqual(['DomainRecordMissed'])
    expect(watched(undefined, nowMs + 999, verified('ten_a'), missed)).toEqual([])
    expect(watched(token('a'), nowMs + 999, verified('ten_a'), missed)).toEqual(['DomainRecordFound'])
    expect(watched(undefined, nowMs + 1_000, verified('ten_a'), missed)).toEqual(['DomainLapsed'])
    const lapsed: DomainEvent = { type: 'DomainLapsed', data: { tenant: 'ten_a' } }
    expect(
      domainGiven(claimed('ten_a'), claimed('ten_b'), verified('ten_a'), missed, lapsed).when(confirm('ten_b')),
    ).toEqual(['DomainVerified'])
  })
})
