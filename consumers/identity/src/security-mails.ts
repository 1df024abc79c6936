import { letter, type Mail, type Mailer } from '@omium/mail'
import { type FactorKind, type NoticeOutcome, OmiumError, type SecurityNotice } from '@omium/schemas'
import type { OwedMail } from './domain/owed.ts'

/** Mails that ask "was this you?". */
export interface SecurityMailsOptions {
  /** undefined: no mail server is set up */
  readonly mailer: Pick<Mailer, 'send'> | undefined
  /** undefined once the person is erased. @throws when it cannot be told */
  readonly open: (sealed: string) => Promise<string | undefined>
  /** where people reach the gateway */
  readonly publicUrl: string
}

/** @returns sends a mail and says what became of it. @throws whatever may succeed later */
export const createSecurityMails =
  ({ mailer, open, publicUrl }: SecurityMailsOptions) =>
  async ({ id, notice, at, email }: OwedMail): Promise<NoticeOutcome> => {
    if (!mailer) return 'no_mail_server'
    const to = await open(email)
    if (to === undefined) return 'erased'
    const label = 'label' in notice ? await open(notice.label) : undefined
    try {
      await mailer.send({ ...securityMail(to, notice, { at, label, publicUrl }), id })
      return 'sent'
    } catch (error) {
      if (error instanceof OmiumError && !error.retryable) return 'refused'
      throw error
    }
  }

const kinds: Readonly<Record<FactorKind, string>> = {
  totp: 'authenticator app',
  security_key: 'security key',
  passkey: 'passkey',
}

/** What happened, as subject and as sentence. */
const told = (notice: SecurityNotice, label = ''): readonly [subject: string, sentence: string] => {
  const named = label === '' ? '' : ` "${label}"`
  switch (notice.about) {
    case 'factor_added': {
      const kind = kinds[notice.kind]
      return [`A new ${kind}`, `The ${kind}${named} was added to your account. Who has it can prove to be you with it.`]
    }
    case 'factor_removed': {
      const kind = kinds[notice.kind]
      return [`Your ${kind} was removed`, `The ${kind}${named} was removed from your account.`]
    }
    case 'factor_suspected': {
      const kind = kinds[notice.kind]
      return [
        `Your ${kind} may have been copied`,
        `The ${kind}${named} was refused: it answered as if it were an older copy of itself. Remove it if it is not in your hands alone.`,
      ]
    }
    case 'recovery_codes_issued':
      return ['New recovery codes', 'New recovery codes were made for your account. The ones before are worth nothing.']
    case 'recovery_code_used':
      return ['A recovery code was used', `A recovery code was used for your account. ${notice.left} are left.`]
    case 'login_linked':
      return [
        'A new way to sign in',
        `Your account can be signed in to by ${notice.method === 'magic_link' ? 'mail' : notice.issuer} now.`,
      ]
    case 'device_session':
      return ['A program was let in', `The Omium command line on some device acts as you now, in ${notice.tenant}.`]
    case 'session_reused':
      return [
        'A session was ended: its tokens were used twice',
        'Somebody used an old token of a session of yours, so the session was ended for whoever held it. If that was a program of yours that was copied or set back, sign in again; if not, somebody had your token.',
      ]
    case 'sessions_ended':
      return ['You were signed out', `All ${notice.count} sessions of your account were ended.`]
    case 'api_key_issued':
      return [
        'A new API key',
        `You made the API key "${notice.name}" (${notice.prefix}...) in ${notice.tenant}. It goes on when you sign out.`,
      ]
  }
}

interface Details {
  readonly at: number
  readonly label: string | undefined
  readonly publicUrl: string
}

/** The mail about a notice. */
export const securityMail = (to: string, notice: SecurityNotice, { at, label, publicUrl }: Details): Mail => {
  const [subject, sentence] = told(notice, label)
  const page = notice.about.startsWith('factor') || notice.about.startsWith('recovery') ? 'factors' : 'sessions'
  return letter({
    to,
    subject: `Omium: ${subject}`,
    paragraphs: [
      sentence,
      `It happened at ${new Date(at).toISOString().replace('T', ' ').slice(0, 16)} UTC.`,
      'If it was you, there is nothing to do. If not, look at your account now, and end what is not yours:',
      { label: page === 'factors' ? 'Your second factors' : 'Your sessions', url: `${publicUrl}/auth/${page}` },
      ...(notice.about === 'api_key_issued' ? [`The key ends with: omium keys revoke ${notice.keyId}`] : []),
    ],
  })
}
