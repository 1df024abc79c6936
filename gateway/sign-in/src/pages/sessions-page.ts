import type { SignInMethod } from '@omium/schemas'
import { escapeHtml, page } from './html.ts'

export interface SessionRow {
  readonly sessionId: string
  readonly current: boolean
  readonly tenant: string
  readonly client: string
  readonly method: SignInMethod
  readonly startedAt: Date
  readonly refreshedAt: Date | null
}

const methods: Readonly<Record<SignInMethod, string>> = {
  magic_link: 'a link by mail',
  oidc: 'an identity provider',
  github: 'GitHub',
  saml: 'single sign-on',
  device: 'a code',
  passkey: 'a passkey',
}

const minute = (at: Date): string => {
  const text = at.toISOString()
  return `<time datetime="${text}">${text.slice(0, 16).replace('T', ' ')} UTC</time>`
}

/** Where somebody is signed in, and the end of it. */
export const sessionsPage = (sessions: readonly SessionRow[]): string => {
  const rows = sessions.map(({ sessionId, current, tenant, client, method, startedAt, refreshedAt }) => {
    const place = client === 'cli' ? 'The command line' : 'A browser'
    return `<li><strong>${place}</strong>${current ? ' (this one)' : ''}, in ${escapeHtml(tenant)}
<br>since ${minute(startedAt)}, by ${methods[method]}${refreshedAt ? `<br>last used ${minute(refreshedAt)}` : ''}
${current ? '' : `<form method="post" action="/auth/sessions/${escapeHtml(sessionId)}/end"><button type="submit" aria-label="End the session of ${escapeHtml(startedAt.toISOString())}">End it</button></form>`}</li>`
  })
  return page(
    'Where you are signed in',
    `<ul>${rows.join('\n')}</ul>
<form method="post" action="/auth/sign-out-everywhere"><button type="submit">Sign out everywhere</button></form>
<p><a href="/auth/session">Back</a></p>`,
  )
}
