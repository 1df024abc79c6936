import { passkeyForm } from './factor-pages.ts'
import { escapeHtml, page } from './html.ts'

/** The pages of sign-in: plain HTML that works without script, in any browser and with any screen reader. */
export interface SignInPage {
  readonly providers: readonly { readonly id: string; readonly label: string }[]
  readonly byMail: boolean
  readonly returnTo: string
  readonly fresh: boolean
  /** browsers know passkeys for this installation */
  readonly passkeys: boolean
}

export const signInPage = ({ providers, byMail, returnTo, fresh, passkeys }: SignInPage): string => {
  const query = new URLSearchParams({ return_to: returnTo, ...(fresh && { fresh: 'true' }) })
  const links = providers.map(
    ({ id, label }) =>
      `<a class="button" href="/auth/providers/${id}/start?${escapeHtml(query.toString())}">Continue with ${escapeHtml(label)}</a>`,
  )
  const form = `<form method="post" action="/auth/magic-links">
<input type="hidden" name="return_to" value="${escapeHtml(returnTo)}">
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="email" maxlength="254" required>
<button type="submit">Send me a link</button>
</form>`
  const ways = [...links, ...(byMail ? [form] : []), ...(passkeys ? [passkeyForm(returnTo)] : [])]
  return page(
    'Sign in',
    ways.join('\n') || '<p>No way to sign in is set up here. The operator sets one up in the settings.</p>',
  )
}

export const checkYourMailPage = (): string =>
  page(
    'Check your mail',
    `<p role="status">A link is on its way. Open it in this browser within ten minutes.</p>
<p><a href="/auth/sign-in">Use another address</a></p>`,
  )

export interface SessionPage {
  readonly email: string
  readonly tenant: string
}

export const sessionPage = ({ email, tenant }: SessionPage): string =>
  page(
    'Signed in',
    `<p>You are ${escapeHtml(email)}, in ${escapeHtml(tenant)}.</p>
<p><a href="/auth/factors">Second factors</a></p>
<form method="post" action="/auth/sign-out"><button type="submit">Sign out</button></form>`,
  )

export const errorPage = (title: string, detail: string, code: string): string =>
  page(
    title,
    `<p role="alert">${escapeHtml(detail)}</p>
<p><a href="/auth/sign-in">Sign in</a></p>
<p><small><code>${escapeHtml(code)}</code></small></p>`,
  )
