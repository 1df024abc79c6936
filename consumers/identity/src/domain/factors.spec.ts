import { challengeMs, type FactorProof, type UserCommand, type UserEvent } from '@omium/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Decision } from './decision.ts'
import { mostFactors } from './factors.ts'
import { decideUser, evolveUser, type UserState } from './user.ts'

const userId = 'usr_a'
const place = { id: userId, correlationId: 'c', version: 1 }
const nowMs = 1_700_000_000_000
const by = `user:${userId}`
const digest = (letter: string) => letter.repeat(64)
const sealed = `v1.${userId}.1.x`
const login = { method: 'magic_link', issuer: 'omium', subject: digest('a') } as const
const registered: UserEvent = { type: 'UserRegistered', data: { address: digest('a'), email: sealed, login } }
const session = (sessionId: string, more = {}) => ({
  sessionId,
  tenant: 'ten_a',
  login,
  amr: ['email'],
  authenticatedAt: nowMs,
  expiresAt: nowMs + 86_400_000,
  client: 'browser' as const,
  ...more,
})
const started = (sessionId = 'ses_1', more = {}): UserEvent => ({
  type: 'SessionStarted',
  data: session(sessionId, more),
})
const codes = Array.from({ length: 10 }, (_, index) => digest(String(index)))
const totp = (step: number, factorId = 'fac_app'): FactorProof => ({ kind: 'totp', factorId, step })
const key = (signCount: number, challenge = digest('c')): FactorProof => ({
  kind: 'webauthn',
  factorId: 'fac_key',
  challenge,
  signCount,
})
const app: UserEvent = {
  type: 'FactorAdded',
  data: { factorId: 'fac_app', kind: 'totp', label: sealed, material: sealed, step: 100, at: nowMs, by },
}
const securityKey: UserEvent = {
  type: 'FactorAdded',
  data: {
    factorId: 'fac_key',
    kind: 'security_key',
    label: sealed,
    material: sealed,
    signCount: 5,
    challenge: digest('b'),
    at: nowMs,
    by,
  },
}
const issued: UserEvent = { type: 'RecoveryCodesIssued', data: { codes, by } }

const fold = (events: readonly UserEvent[]): UserState | undefined =>
  events.reduce<UserState | undefined>((state, event) => evolveUser(state, event, place), undefined)
/** A decision without what people are told of it: notices.spec.ts */
const untold = (decision: Decision<UserEvent>): Decision<UserEvent> => ({
  ...decision,
  events: decision.events.filter(({ type }) => type !== 'SecurityNoticeOwed'),
})
const given = (...events: UserEvent[]) => ({
  when: (command: UserCommand, at = nowMs) =>
    untold(decideUser(fold([registered, ...events]), command, userId, { actor: by, nowMs: at })),
})
const stepUp = (proof: FactorProof, sessionId = 'ses_1'): UserCommand => ({
  type: 'StepUpSession',
  data: { sessionId, proof, amr: ['email', 'otp', 'mfa'] },
})
const add = (more: Partial<Extract<UserCommand, { type: 'AddFactor' }>['data']> = {}): UserCommand => ({
  type: 'AddFactor',
  data: {
    factorId: 'fac_app',
    kind: 'totp',
    label: sealed,
    material: sealed,
    proof: totp(100),
    sessionId: 'ses_1',
    amr: ['otp', 'mfa'],
    ...more,
  },
})
const start = (more = {}): UserCommand => ({ type: 'StartSession', data: session('ses_2', more) })

describe('a second factor', () => {
  it('comes with its first proof, and the first one with recovery codes', () => {
    expect(given(started()).when(add({ recoveryCodes: codes }))).toMatchObject({
      status: 'decided',
      events: [{ type: 'FactorAdded', data: { step: 100 } }, issued, { type: 'SessionSteppedUp' }],
    })
    expect(given(started()).when(add())).toMatchObject({ code: 'identity_conflict' })
    expect(given(started(), securityKey).when(add({ recoveryCodes: codes }))).toMatchObject({
      code: 'identity_conflict',
    })
    expect(given(started(), securityKey).when(add())).toMatchObject({ status: 'decided' })
    expect(given(started(), securityKey).when(add({ proof: key(1) }))).toMatchObject({ code: 'invalid_request' })
    expect(given(securityKey).when(add())).toMatchObject({ code: 'session_ended' })
  })
  it('is one of a few', () => {
    const many = Array.from(
      { length: mostFactors },
      (_, index): UserEvent => ({
        ...app,
        data: { ...app.data, factorId: `fac_${index}` } as never,
      }),
    )
    expect(given(started(), ...many).when(add())).toMatchObject({ code: 'identity_conflict' })
  })
  it('is removed, but the last one stays where a tenant demands one; the codes go with the last', () => {
    const remove = (keepOne: boolean): UserCommand => ({ type: 'RemoveFactor', data: { factorId: 'fac_app', keepOne } })
    const removed: UserEvent = { type: 'FactorRemoved', data: { factorId: 'fac_app', by } }
    expect(given(app).when(remove(true))).toMatchObject({ code: 'last_factor' })
    expect(given(app, securityKey).when(remove(true))).toMatchObject({ events: [removed] })
    expect(given(app).when(remove(false))).toMatchObject({ events: [removed] })
    expect(given().when(remove(false))).toMatchObject({ code: 'factor_unknown' })
    const left = given(started(), app, issued, removed)
    expect(left.when(stepUp({ kind: 'recovery_code', code: codes[0] as string }))).toMatchObject({
      code: 'factor_refused',
    })
    expect(left.when({ type: 'IssueRecoveryCodes', data: { codes } })).toMatchObject({ code: 'factor_unknown' })
  })
})

describe('a proof', () => {
  it('raises the session in which it was shown', () => {
    const decision = given(started(), app).when(stepUp(totp(101)))
    expect(decision).toMatchObject({
      events: [
        { type: 'FactorUsed', data: { factorId: 'fac_app', sessionId: 'ses_1', step: 101, at: nowMs } },
        { type: 'SessionSteppedUp', data: { sessionId: 'ses_1', at: nowMs } },
      ],
    })
    expect(given(app).when(stepUp(totp(101)))).toMatchObject({ code: 'session_ended' })
  })
  it.each([
    ['a code of the step that was shown', totp(100), 'factor_proof_used'],
    ['a code of a step before it', totp(99), 'factor_proof_used'],
    ['a challenge that was answered', key(6, digest('b')), 'factor_proof_used'],
    ['a counter that stands still', key(5), 'authenticator_suspect'],
    ['a counter that went back', key(1), 'authenticator_suspect'],
    ['a counter that stopped counting', key(0), 'authenticator_suspect'],
    ['an unknown factor', totp(101, 'fac_other'), 'factor_unknown'],
    ["another factor's kind", { ...key(6), factorId: 'fac_app' }, 'factor_unknown'],
    ['no recovery code', { kind: 'recovery_code', code: digest('f') } as const, 'factor_refused'],
  ])('that is %s counts for nothing', (_what, proof, code) => {
    expect(given(started(), app, securityKey, issued).when(stepUp(proof))).toMatchObject({ status: 'refused', code })
  })
  it('that looks like a copied key is on the log', () => {
    expect(given(started(), securityKey).when(stepUp(key(3)))).toMatchObject({
      events: [{ type: 'FactorSuspected', data: { factorId: 'fac_key', signCount: 3, was: 5 } }],
    })
  })
  it('by recovery code counts once each', () => {
    const [first, second] = codes.map((code): FactorProof => ({ kind: 'recovery_code', code }))
    const used: UserEvent = {
      type: 'RecoveryCodeUsed',
      data: { code: codes[0] as string, sessionId: 'ses_1', at: nowMs },
    }
    const after = given(started(), app, issued, used)
    expect(given(started(), app, issued).when(stepUp(first as FactorProof))).toMatchObject({ events: [used, {}] })
    expect(after.when(stepUp(first as FactorProof))).toMatchObject({ code: 'factor_proof_used' })
    expect(after.when(stepUp(second as FactorProof))).toMatchObject({ status: 'decided' })
  })
  it('counts once, whatever is shown in whichever order; what is remembered of challenges has a bound', () => {
    const proofs = fc.oneof(
      fc.integer({ min: 95, max: 110 }).map((step) => totp(step)),
      fc
        .record({ count: fc.integer({ min: 0, max: 9 }), letter: fc.constantFrom('b', 'c', 'd') })
        .map(({ count, letter }) => key(count, digest(letter))),
      fc.constantFrom(...codes).map((code): FactorProof => ({ kind: 'recovery_code', code })),
    )
    fc.assert(
      fc.property(fc.array(proofs, { maxLength: 40 }), (shown) => {
        let at = nowMs
        let state = fold([registered, started(), app, securityKey, issued])
        const counted = new Set<string>()
        for (const proof of shown) {
          at += 1_000
          const decision = decideUser(state, stepUp(proof), userId, { actor: by, nowMs: at })
          for (const event of decision.events as UserEvent[]) state = evolveUser(state, event, place)
          if (decision.status === 'refused') continue
          const once =
            proof.kind === 'webauthn' ? proof.challenge : proof.kind === 'totp' ? `step ${proof.step}` : proof.code
          expect(counted.has(once)).toBe(false)
          counted.add(once)
        }
        at += 3 * challengeMs
        for (const event of decideUser(state, stepUp(key(1_000_000, digest('e'))), userId, { actor: by, nowMs: at })
          .events as UserEvent[])
          state = evolveUser(state, event, place)
        expect(Object.keys(state?.factors.challenges ?? {}).length).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('a session of who has a factor', () => {
  const proved = (mfaAt?: number) => ({ events: [{ type: 'FactorUsed' }, { type: 'SessionStarted', data: { mfaAt } }] })
  it('begins with a proof, which is not part of it', () => {
    expect(given().when(start())).toMatchObject({ events: [{ type: 'SessionStarted' }] })
    expect(given(app).when(start())).toMatchObject({ code: 'mfa_required' })
    const decision = given(app).when(start({ proof: totp(101) }))
    expect(decision).toMatchObject(proved(nowMs))
    expect(decision.events[1]).not.toHaveProperty('data.proof')
    expect(given(app).when(start({ proof: totp(100) }))).toMatchObject({ code: 'factor_proof_used' })
  })
  it('spends the proof also when it is there already', () => {
    expect(given(app, started('ses_2')).when(start({ proof: totp(101) }))).toMatchObject({
      events: [{ type: 'FactorUsed' }],
    })
    expect(given(app, started('ses_2')).when(start({ proof: totp(100) }))).toMatchObject({ code: 'factor_proof_used' })
  })
  it('begins on the word of a session that has seen one, and of no other', () => {
    const approved = start({ approvedBy: 'ses_1' })
    expect(given(app, started('ses_1', { mfaAt: 7 })).when(approved)).toMatchObject({
      events: [{ data: { mfaAt: 7 } }],
    })
    expect(given(app, started()).when(approved)).toMatchObject({ code: 'mfa_required' })
    expect(given(app).when(approved)).toMatchObject({ code: 'session_ended' })
    const old = started('ses_1', { mfaAt: 7, expiresAt: nowMs })
    expect(given(app, old).when(approved)).toMatchObject({ code: 'session_ended' })
  })
  it('begins without one in the tenant whose identity provider let them in, and stays there', () => {
    const sso = { login: { method: 'saml', issuer: 'omium:sso:ten_a/con_1', subject: digest('d') } as const }
    expect(given(app).when(start(sso))).toMatchObject({ events: [{ type: 'SessionStarted' }] })
    expect(given(app).when(start({ ...sso, tenant: 'ten_b' }))).toMatchObject({ code: 'mfa_required' })
    const move = (sessionId: string): UserCommand => ({ type: 'SwitchTenant', data: { sessionId, tenant: 'ten_b' } })
    expect(given(app, started('ses_1', sso)).when(move('ses_1'))).toMatchObject({ code: 'mfa_required' })
    const raised: UserEvent = { type: 'SessionSteppedUp', data: { sessionId: 'ses_1', amr: ['mfa'], at: nowMs } }
    expect(given(app, started('ses_1', sso), raised).when(move('ses_1'))).toMatchObject({ status: 'decided' })
  })
})

it('a name that every object answers to is the name of no factor', () => {
  const remove: UserCommand = { type: 'RemoveFactor', data: { factorId: 'constructor', keepOne: false } }
  expect(given(app, started()).when(remove)).toMatchObject({ code: 'factor_unknown' })
  const proof: FactorProof = { kind: 'webauthn', factorId: 'constructor', challenge: digest('f'), signCount: 9 }
  expect(given(app, started()).when(stepUp(proof))).toMatchObject({ code: 'factor_unknown' })
})

it('an erased user has no factors', () => {
  const state = fold([registered, app, issued, { type: 'UserErased', data: { by } }])
  expect(state?.factors).toEqual({ byId: {}, recoveryCodes: {}, challenges: {} })
})
