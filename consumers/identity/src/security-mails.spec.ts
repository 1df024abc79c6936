import type { Mail } from '@omium/mail'
import { OmiumError, type SecurityNotice } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import type { OwedMail } from './domain/owed.ts'
import { createSecurityMails } from './security-mails.ts'

const owed = (notice: SecurityNotice): OwedMail => ({
  id: 'a1',
  version: 3,
  notice,
  at: Date.UTC(2026, 4, 3, 12, 30),
  email: 'sealed-mail',
})
const opened: Readonly<Record<string, string>> = { 'sealed-mail': 'ada@example.com', 'sealed-label': 'My <phone>' }
const publicUrl = 'https://omium.example'
const mailsOf = (send: (mail: Mail) => Promise<void>, open = async (sealed: string) => opened[sealed]) =>
  createSecurityMails({ mailer: { send }, open, publicUrl })

describe('a security mail', () => {
  it('says what happened, when, and where to look, as text and as HTML', async () => {
    const sent: Mail[] = []
    const tell = mailsOf(async (mail) => void sent.push(mail))
    expect(await tell(owed({ about: 'factor_added', kind: 'passkey', label: 'sealed-label' }))).toBe('sent')
    expect(sent).toMatchObject([{ to: 'ada@example.com', subject: 'Omium: A new passkey', id: 'a1' }])
    expect(sent[0]?.text).toContain('The passkey "My <phone>" was added to your account.')
    expect(sent[0]?.text).toContain('2026-05-03 12:30 UTC')
    expect(sent[0]?.text).toContain('https://omium.example/auth/factors')
    expect(sent[0]?.html).toContain('My &lt;phone&gt;')
  })
  it.each<[SecurityNotice, string, string]>([
    [
      { about: 'factor_removed', kind: 'totp', label: 'sealed-label' },
      'authenticator app was removed',
      '/auth/factors',
    ],
    [
      { about: 'factor_suspected', kind: 'security_key', label: 'sealed-label' },
      'may have been copied',
      '/auth/factors',
    ],
    [{ about: 'recovery_codes_issued' }, 'New recovery codes', '/auth/factors'],
    [{ about: 'recovery_code_used', left: 3 }, 'recovery code was used', '/auth/factors'],
    [{ about: 'login_linked', method: 'oidc', issuer: 'https://idp.example' }, 'new way to sign in', '/auth/sessions'],
    [{ about: 'device_session', sessionId: 'ses_1', tenant: 'ten_a' }, 'program was let in', '/auth/sessions'],
    [{ about: 'session_reused', sessionId: 'ses_1' }, 'used twice', '/auth/sessions'],
    [{ about: 'sessions_ended', count: 2 }, 'signed out', '/auth/sessions'],
    [
      { about: 'api_key_issued', tenant: 'ten_a', keyId: 'key_1', name: 'ci', prefix: 'om_test_x' },
      'new API key',
      '/auth/sessions',
    ],
  ])('is there for $about', async (notice, subject, page) => {
    const sent: Mail[] = []
    await mailsOf(async (mail) => void sent.push(mail))(owed(notice))
    expect(sent[0]?.subject.toLowerCase()).toContain(subject.toLowerCase())
    expect(sent[0]?.text).toContain(`${publicUrl}${page}`)
    expect(sent[0]?.text).not.toContain('undefined')
  })
  it('is settled when it never can be sent, and tried again otherwise', async () => {
    const notice = owed({ about: 'recovery_codes_issued' })
    const refusal = (retryable: boolean) =>
      mailsOf(() => Promise.reject(new OmiumError('unavailable', 'x', { retryable })))
    expect(await refusal(false)(notice)).toBe('refused')
    await expect(refusal(true)(notice)).rejects.toThrow()
    expect(
      await mailsOf(
        async () => {},
        async () => undefined,
      )(notice),
    ).toBe('erased')
    const without = createSecurityMails({ mailer: undefined, open: async () => 'x', publicUrl })
    expect(await without(notice)).toBe('no_mail_server')
  })
})
