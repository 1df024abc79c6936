import { passkeyForm } from './factor-pages.ts'
import { escapeHtml, page, sentence } from './html.ts'

/** The pages of sign-in: plain HTML that works without script, in any browser and with any screen reader. */
export interface SignInPage {
  readonly providers: readonly { readonly id: string; readonly label: string }[]
  /** whether an address can be given: for a company's own way in or a link by mail, or for a link only */
  readonly byMail: 'any' | 'only'
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
  const form = `<form method="post" action="${byMail === 'only' ? '/auth/magic-links' : '/auth/sign-in'}">
<input type="hidden" name="return_to" value="${escapeHtml(returnTo)}">
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="email" maxlength="254" required autofocus>
<button type="submit">${byMail === 'only' ? 'Send me a link' : 'Continue with e-mail'}</button>
</form>`
  return page('Sign in', [...links, form, ...(passkeys ? [passkeyForm(returnTo)] : [])].join('\n'))
}

/** @param here the platform runs on the machine of whoever asks */
export const checkYourMailPage = (here: boolean): string =>
  page(
    'Check your mail',
    `<p role="status">A link is on its way. Open it in this browser within ten minutes.</p>
${here ? '<p>This Omium runs on your machine and delivers no mail unless it was told how: the link is printed where it was started (<code>npm start</code>), and is in <code>.omium/mail</code>.</p>\n' : ''}<p><a href="/auth/sign-in">Use another address</a></p>`,
  )

export interface SessionPage {
  readonly email: string
  readonly tenant: string
}

export const sessionPage = ({ email, tenant }: SessionPage): string =>
  page(
    'Signed in',
    `<p>You are ${escapeHtml(email)}, in ${escapeHtml(tenant)}.</p>
<ul>
<li><a href="/auth/device">Let a program in</a> that shows a code (<code>omium login</code>)</li>
<li><a href="/auth/factors">Second factors and passkeys</a></li>
<li><a href="/auth/sessions">Where you are signed in</a></li>
<li><a href="/docs">The API</a></li>
</ul>
<form method="post" action="/auth/sign-out"><button type="submit">Sign out</button></form>`,
  )

const deviceForm = (action: string, fields: string): string =>
  `<form method="post" action="/auth/device/${action}">\n${fields}\n</form>`

/** Asks for the code that a program shows. */
export const deviceCodePage = (): string =>
  page(
    'Let a program in',
    `<p>A program that you started shows a code of eight letters. Type it here.</p>
${deviceForm(
  'review',
  `<label for="user_code">Code</label>
<input id="user_code" name="user_code" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="20" required autofocus>
<button type="submit">Go on</button>`,
)}`,
  )

export interface DeviceReviewPage {
  readonly userCode: string
  readonly email: string
  readonly tenant: string
  readonly address: string
  /** the program asked from the network that the person is in */
  readonly nearby: boolean
}

/** Says what asks, and lets the person decide. */
export const deviceReviewPage = ({ userCode, email, tenant, address, nearby }: DeviceReviewPage): string => {
  const code = escapeHtml(userCode)
  const fields = (decision: string) => `<input type="hidden" name="user_code" value="${code}">
<input type="hidden" name="decision" value="${decision}">`
  const place = nearby
    ? 'the network that you are in'
    : '<strong>another network than yours</strong>. If you did not start it there yourself, somebody else did: deny it'
  return page(
    'Let this program in?',
    `<p>The <strong>Omium command line</strong> that shows the code <strong><code>${code}</code></strong> wants to act as ${escapeHtml(email)} in ${escapeHtml(tenant)}.</p>
<p>It asks from ${escapeHtml(address)}, which is ${place}.</p>
<p>Allow it only if you have started it yourself, just now. Nobody else has a reason to send you such a code.</p>
${deviceForm('decide', `${fields('denied')}\n<button type="submit">Deny</button>`)}
${deviceForm('decide', `${fields('approved')}\n<button type="submit">Allow</button>`)}`,
  )
}

export const deviceDecidedPage = (approved: boolean): string =>
  page(
    approved ? 'The program is in' : 'The program stays out',
    `<p role="status">${approved ? 'Go back to where you started it.' : 'It was told so.'} You may close this page.</p>
<p><a href="/auth/sessions">Where you are signed in</a></p>`,
  )

/** @param again where whoever was refused may try once more; absent: at the beginning */
export const errorPage = (title: string, detail: string, code: string, again?: string): string =>
  page(
    title,
    `<p role="alert">${escapeHtml(sentence(detail))}</p>
<p>${again === undefined ? '<a href="/auth/sign-in">Sign in</a>' : `<a href="${again}">Try again</a>`}</p>
<p><small><code>${escapeHtml(code)}</code></small></p>`,
  )
