import type { UserCommand, UserEvent } from '@omium/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Decision } from './decision.ts'
import { owedByUser } from './owed.ts'
import { decideUser, evolveUser, graceMs, mostSessions, type UserState } from './user.ts'

const userId = 'usr_a'
const nowMs = 1_000_000
const login = { method: 'magic_link', issuer: 'omium', subject: 'a'.repeat(64) } as const
const github = { method: 'github', issuer: 'https://github.com', subject: 'b'.repeat(64) } as const
const by = 'system'

const fold = (events: readonly UserEvent[], state?: UserState): UserState | undefined =>
  events.reduce<UserState | undefined>(
    (folded, event, i) => evolveUser(folded, event, { id: userId, correlationId: 'c', version: i + 1 }),
    state,
  )
/** A decision without what people are told of it: notices.spec.ts */
const untold = (decision: Decision<UserEvent>): Decision<UserEvent> => ({
  ...decision,
  events: decision.events.filter(({ type }) => type !== 'SecurityNoticeOwed'),
})
const given = (...events: UserEvent[]) => ({
  when: (command: UserCommand, at = nowMs) =>
    untold(decideUser(fold(events), command, userId, { actor: by, nowMs: at })),
})

const registration = { address: 'a'.repeat(64), email: `v1.${userId}.1.x`, login }
const registered: UserEvent = { type: 'UserRegistered', data: registration }
const session = (sessionId = 'ses_1', tenant = 'ten_a') => ({
  sessionId,
  tenant,
  login,
  amr: ['otp'],
  authenticatedAt: nowMs,
  expiresAt: nowMs + 86_400_000,
  client: 'browser' as const,
})
const started = (sessionId?: string, tenant?: string): UserEvent => ({
  type: 'SessionStarted',
  data: session(sessionId, tenant),
})
const refreshed = (generation: number, at: number): UserEvent => ({
  type: 'SessionRefreshed',
  data: { sessionId: 'ses_1', generation, at },
})
const refresh = (generation: number): UserCommand => ({
  type: 'RefreshSession',
  data: { sessionId: 'ses_1', generation },
})
const end = (
  sessionId: string,
  why: 'reused' | 'expired' | 'removed' | 'revoked' | 'erased' | 'signed_out',
): UserEvent => ({
  type: 'SessionEnded',
  data: { sessionId, why, by },
})

describe('a user', () => {
  it('is registered once; another login of theirs is linked', () => {
    expect(given().when({ type: 'RegisterUser', data: registration })).toEqual({
      status: 'decided',
      events: [registered],
    })
    expect(given(registered).when({ type: 'RegisterUser', data: registration })).toMatchObject({ events: [] })
    expect(given(registered).when({ type: 'RegisterUser', data: { ...registration, login: github } })).toMatchObject({
      events: [{ type: 'LoginLinked', data: { login: github } }],
    })
    const other = { ...registration, address: 'c'.repeat(64) }
    expect(given(registered).when({ type: 'RegisterUser', data: other })).toMatchObject({ code: 'identity_conflict' })
  })
  it('keeps the last way in', () => {
    const unlink: UserCommand = { type: 'UnlinkLogin', data: { login } }
    expect(given(registered).when(unlink)).toMatchObject({ code: 'identity_conflict' })
    const linked: UserEvent = { type: 'LoginLinked', data: { login: github, by } }
    expect(given(registered, linked).when(unlink)).toMatchObject({ events: [{ type: 'LoginUnlinked' }] })
  })
  it('brings a first tenant into being, until that is on the log', () => {
    const tenant = { id: 'ten_a', name: 'A' }
    const state = fold([{ type: 'UserRegistered', data: { ...registration, tenant } }]) as UserState
    const [owed] = owedByUser(state)
    expect(owed).toMatchObject({
      aggregate: 'tenant:ten_a/ten_a',
      command: { type: 'FoundTenant', data: { name: 'A', owner: userId } },
      receipt: { type: 'PersonalTenantRequested' },
    })
    expect(owedByUser(fold([{ type: 'PersonalTenantRequested', data: {} }], state) as UserState)).toEqual([])
  })
  it('is erased with every session, frees the address, and gets no session any more', () => {
    const erased: UserEvent = { type: 'UserErased', data: { by } }
    expect(given(registered, started()).when({ type: 'EraseUser', data: {} })).toEqual({
      status: 'decided',
      events: [end('ses_1', 'erased'), erased],
    })
    for (const command of [
      { type: 'StartSession', data: session() },
      { type: 'RegisterUser', data: registration },
      refresh(0),
    ] as const)
      expect(given(registered, erased).when(command)).toMatchObject({ code: 'user_unknown' })
    const state = fold([registered, erased]) as UserState
    expect(owedByUser(state)).toMatchObject([
      { command: { type: 'ReleaseAddress' } },
      { what: 'erasure', subjects: [userId, registration.address], receipt: { type: 'ErasureCompleted' } },
    ])
    expect(owedByUser(fold([{ type: 'ErasureCompleted', data: {} }], state) as UserState)).toEqual([])
  })
  it('knows what they are a member of, and withdraws from it when they are erased, also from what they join then', () => {
    const note = (tenant: string): UserCommand => ({ type: 'NoteMembership', data: { tenant } })
    const noted = (tenant: string): UserEvent => ({ type: 'MembershipNoted', data: { tenant } })
    const erased: UserEvent[] = [
      { type: 'UserErased', data: { by } },
      { type: 'ErasureCompleted', data: {} },
    ]
    expect(given(registered).when(note('ten_b'))).toEqual({ status: 'decided', events: [noted('ten_b')] })
    expect(given(registered, noted('ten_b')).when(note('ten_b'))).toMatchObject({ events: [] })
    expect(owedByUser(fold([registered, noted('ten_b')]) as UserState)).toEqual([])
    const history = [registered, noted('ten_b'), ...erased]
    expect(owedByUser(fold(history) as UserState)).toMatchObject([
      {
        aggregate: 'tenant:ten_b/ten_b',
        tenant: 'ten_b',
        command: { type: 'RemoveMember', data: { userId, why: 'erased' } },
        receipt: { type: 'MembershipWithdrawn', data: { tenant: 'ten_b' } },
      },
    ])
    history.push({ type: 'MembershipWithdrawn', data: { tenant: 'ten_b' } })
    expect(owedByUser(fold(history) as UserState)).toEqual([])
    expect(given(...history).when(note('ten_b'))).toEqual({ status: 'decided', events: [noted('ten_b')] })
    const [first] = owedByUser(fold([registered, noted('ten_b'), ...erased]) as UserState)
    const [again] = owedByUser(fold([...history, noted('ten_b')]) as UserState)
    expect(again?.id).not.toBe(first?.id)
  })
})

describe('a session', () => {
  it('is refreshed with the current token', () => {
    expect(given(registered, started()).when(refresh(0), nowMs + 5)).toEqual({
      status: 'decided',
      events: [refreshed(1, nowMs + 5)],
    })
  })
  it('answers the token before with the current one again, for ten seconds', () => {
    const before = [registered, started(), refreshed(1, nowMs), refreshed(2, nowMs)]
    expect(given(...before).when(refresh(1), nowMs + graceMs)).toEqual({ status: 'decided', events: [] })
    expect(given(...before).when(refresh(1), nowMs + graceMs + 1)).toMatchObject({
      code: 'refresh_reused',
      events: [end('ses_1', 'reused')],
    })
  })
  it.each([
    ['an older token', 0],
    ['one that was never given', 3],
  ])('ends with %s', (_what, generation) => {
    const before = [registered, started(), refreshed(1, nowMs), refreshed(2, nowMs)]
    expect(given(...before).when(refresh(generation))).toMatchObject({
      code: 'refresh_reused',
      events: [end('ses_1', 'reused')],
    })
  })
  it('is over when its time is, or when it was ended', () => {
    const late = session().expiresAt
    const switching: UserCommand = { type: 'SwitchTenant', data: { sessionId: 'ses_1', tenant: 'ten_b' } }
    for (const command of [refresh(0), switching]) {
      expect(given(registered, started()).when(command, late)).toMatchObject({ code: 'session_ended' })
      expect(given(registered, started(), end('ses_1', 'signed_out')).when(command)).toMatchObject({
        code: 'session_ended',
      })
    }
  })
  it('does not begin again once it has ended', () => {
    const before = given(registered, started(), end('ses_1', 'signed_out'))
    expect(before.when({ type: 'StartSession', data: session() })).toMatchObject({ code: 'session_ended' })
  })
  it('is one of a bounded number; the expired go first, then the one that was longest unused', () => {
    const many = Array.from({ length: mostSessions }, (_, n) => started(`ses_${n}`))
    const touched: UserEvent = { type: 'SessionRefreshed', data: { sessionId: 'ses_0', generation: 1, at: nowMs + 1 } }
    const start: UserCommand = { type: 'StartSession', data: session('ses_new') }
    expect(given(registered, ...many, touched).when(start)).toMatchObject({
      events: [end('ses_1', 'revoked'), { type: 'SessionStarted' }],
    })
    const late = session().expiresAt
    const again: UserCommand = { type: 'StartSession', data: { ...session('ses_new'), expiresAt: late + 1 } }
    expect(given(registered, started()).when(again, late)).toMatchObject({
      events: [end('ses_1', 'expired'), { type: 'SessionStarted' }],
    })
  })
  it('ends with all others, with those of one tenant, or all but one', () => {
    const before = given(registered, started('ses_1'), started('ses_2', 'ten_b'), started('ses_3'))
    const ended = (data: { tenant?: string; except?: string }) =>
      before.when({ type: 'EndSessions', data: { ...data, why: 'revoked' } })
    expect(ended({})).toMatchObject({ events: ['ses_1', 'ses_2', 'ses_3'].map((id) => end(id, 'revoked')) })
    expect(ended({ tenant: 'ten_b' })).toMatchObject({ events: [end('ses_2', 'revoked')] })
    expect(ended({ except: 'ses_2' })).toMatchObject({ events: ['ses_1', 'ses_3'].map((id) => end(id, 'revoked')) })
  })
})

it('a session on the word of another does not begin once that one has ended, or was never there', () => {
  const start = (approvedBy: string): UserCommand => ({
    type: 'StartSession',
    data: { ...session('ses_2'), client: 'cli', approvedBy },
  })
  expect(given(registered, started()).when(start('ses_1'))).toMatchObject({ events: [{ type: 'SessionStarted' }] })
  for (const [before, by] of [
    [[started(), end('ses_1', 'signed_out')], 'ses_1'],
    [[started('ses_1')], 'ses_3'],
    [[], 'constructor'],
  ] as const)
    expect(given(registered, ...before).when(start(by))).toMatchObject({ code: 'session_ended' })
  expect(given(registered, started()).when(start('ses_1'), nowMs + 86_400_000)).toMatchObject({ code: 'session_ended' })
})

it('tokens in any order at any time: at most one is current, and a token that was replaced long ago ends everything', () => {
  const asked = fc.array(fc.record({ generation: fc.nat(6), laterMs: fc.nat(3 * graceMs) }), { maxLength: 40 })
  fc.assert(
    fc.property(asked, (requests) => {
      let state = fold([registered, started()]) as UserState
      let current = 0
      let at = nowMs
      let refreshedAt = nowMs
      let open = true
      for (const { generation, laterMs } of requests) {
        at += laterMs
        const decision = decideUser(state, refresh(generation), userId, { actor: by, nowMs: at })
        const isCurrent = generation === current
        const isLost = generation === current - 1 && at - refreshedAt <= graceMs
        expect(decision.status).toBe(open && (isCurrent || isLost) ? 'decided' : 'refused')
        state = fold(decision.events, state) as UserState
        if (!open) expect(decision.events).toEqual([])
        else if (isCurrent) {
          current++
          refreshedAt = at
        } else if (!isLost) open = false
        expect(Object.keys(state.sessions)).toEqual(open ? ['ses_1'] : [])
        expect(state.sessions['ses_1']?.generation).toBe(open ? current : undefined)
      }
    }),
  )
})
