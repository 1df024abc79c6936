import type { SecurityNotice, UserCommand, UserEvent } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { mostNotices } from './notices.ts'
import { mailsOwedByUser } from './owed.ts'
import { decideUser, evolveUser, type UserState } from './user.ts'

const nowMs = 1_000_000
const login = { method: 'magic_link', issuer: 'omium', subject: 'a'.repeat(64) } as const
const fold = (events: readonly UserEvent[]): UserState | undefined =>
  events.reduce<UserState | undefined>(
    (state, event, i) => evolveUser(state, event, { id: 'usr_a', correlationId: 'c', version: i + 1 }),
    undefined,
  )
const registered: UserEvent = {
  type: 'UserRegistered',
  data: { address: 'a'.repeat(64), email: 'v1.usr_a.1.mail', login },
}
const sessionOf = (sessionId: string, client: 'browser' | 'cli') => ({
  sessionId,
  tenant: 'ten_a',
  login,
  amr: ['email'],
  authenticatedAt: nowMs,
  expiresAt: nowMs + 1000,
  client,
})
const started = (sessionId: string): UserEvent => ({ type: 'SessionStarted', data: sessionOf(sessionId, 'browser') })
const factor = { factorId: 'fac_1', kind: 'passkey', label: 'v1.usr_a.1.label', material: 'v1.usr_a.1.key' } as const
const codes = Array.from({ length: 10 }, (_, i) => String(i).repeat(64))
const added: UserEvent = { type: 'FactorAdded', data: { ...factor, signCount: 5, at: nowMs, by: 'user:usr_a' } }
const issued: UserEvent = { type: 'RecoveryCodesIssued', data: { codes, by: 'user:usr_a' } }
const had = { kind: 'passkey', label: factor.label } as const

const noticesOf = (history: readonly UserEvent[], command: UserCommand): SecurityNotice[] => {
  const asked = { actor: 'user:usr_a', nowMs }
  const { events } = decideUser(fold(history), command, 'usr_a', asked)
  return events.flatMap(({ type, data }) => (type === 'SecurityNoticeOwed' ? [data.notice] : []))
}

describe('a person is told of', () => {
  const proof = { kind: 'webauthn', factorId: 'fac_1', challenge: 'c'.repeat(64), signCount: 6 } as const
  const inSession = { sessionId: 'ses_1', amr: ['hwk'] }
  const known = [registered, started('ses_1'), added, issued]

  it.each<[string, readonly UserEvent[], UserCommand, SecurityNotice]>([
    [
      'a factor, with the recovery codes that come with it',
      [registered, started('ses_1')],
      { type: 'AddFactor', data: { ...factor, proof, ...inSession, recoveryCodes: codes } },
      { about: 'factor_added', ...had },
    ],
    [
      'a factor that is removed',
      known,
      { type: 'RemoveFactor', data: { factorId: 'fac_1', keepOne: false } },
      { about: 'factor_removed', ...had },
    ],
    [
      'a factor that may have been copied, although it is refused',
      known,
      { type: 'StepUpSession', data: { ...inSession, proof: { ...proof, signCount: 4 } } },
      { about: 'factor_suspected', ...had },
    ],
    ['new recovery codes', known, { type: 'IssueRecoveryCodes', data: { codes } }, { about: 'recovery_codes_issued' }],
    [
      'a recovery code that was used',
      known,
      { type: 'StepUpSession', data: { ...inSession, proof: { kind: 'recovery_code', code: codes[0] as string } } },
      { about: 'recovery_code_used', left: 9 },
    ],
    [
      'another way in',
      known,
      {
        type: 'RegisterUser',
        data: { ...registered.data, login: { ...login, method: 'github', issuer: 'https://github.com' } },
      } as UserCommand,
      { about: 'login_linked', method: 'github', issuer: 'https://github.com' },
    ],
    [
      'a program that was let in',
      [registered],
      { type: 'StartSession', data: sessionOf('ses_2', 'cli') },
      { about: 'device_session', sessionId: 'ses_2', tenant: 'ten_a' },
    ],
    [
      'a token that two parties held, although it is refused',
      [
        registered,
        started('ses_1'),
        { type: 'SessionRefreshed', data: { sessionId: 'ses_1', generation: 2, at: nowMs } },
      ],
      { type: 'RefreshSession', data: { sessionId: 'ses_1', generation: 0 } },
      { about: 'session_reused', sessionId: 'ses_1' },
    ],
    [
      'all of their sessions ending',
      [registered, started('ses_1'), started('ses_2')],
      { type: 'EndSessions', data: { why: 'signed_out' } },
      { about: 'sessions_ended', count: 2 },
    ],
    [
      'an API key that they made',
      [registered],
      { type: 'NoteApiKey', data: { tenant: 'ten_a', keyId: 'key_1', name: 'ci', prefix: 'om_test_x' } },
      { about: 'api_key_issued', tenant: 'ten_a', keyId: 'key_1', name: 'ci', prefix: 'om_test_x' },
    ],
  ])('%s', (_what, history, command, notice) => {
    expect(noticesOf(history, command)).toEqual([notice])
  })

  it('nothing that is their everyday life', () => {
    expect(noticesOf([registered], { type: 'StartSession', data: sessionOf('ses_1', 'browser') })).toEqual([])
    const end: UserCommand = { type: 'EndSession', data: { sessionId: 'ses_1', why: 'signed_out' } }
    expect(noticesOf([registered, started('ses_1')], end)).toEqual([])
    expect(noticesOf(known, { type: 'StepUpSession', data: { ...inSession, proof } })).toEqual([])
  })
})

describe('a mail', () => {
  const owed: UserEvent = {
    type: 'SecurityNoticeOwed',
    data: { notice: { about: 'recovery_codes_issued' }, at: nowMs },
  }

  it('is owed until it is settled, under an id of its own', () => {
    const two = mailsOwedByUser(fold([registered, owed, owed]) as UserState)
    expect(two).toMatchObject([{ version: 2, email: 'v1.usr_a.1.mail', at: nowMs }, { version: 3 }])
    expect(new Set(two.map(({ id }) => id)).size).toBe(2)
    const settled: UserEvent = { type: 'SecurityNoticeSettled', data: { notice: 2, outcome: 'sent' } }
    expect(mailsOwedByUser(fold([registered, owed, owed, settled]) as UserState)).toEqual(two.slice(1))
  })
  it('is owed to nobody who is erased', () => {
    const erased: UserEvent = { type: 'UserErased', data: { by: 'system' } }
    expect(mailsOwedByUser(fold([registered, owed, erased]) as UserState)).toEqual([])
  })
  it('is not owed by who owes very many', () => {
    const history = [registered, ...Array.from({ length: mostNotices }, () => owed)]
    expect(noticesOf(history, { type: 'StartSession', data: sessionOf('ses_1', 'cli') })).toEqual([])
  })
})
