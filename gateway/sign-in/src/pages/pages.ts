import { createHash } from 'node:crypto'

/** The pages of sign-in: plain HTML that works without script, in any browser and with any screen reader. */
const style = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:0;display:grid;min-height:100vh;place-items:center}
main{width:min(22rem,90vw)}
h1{font-size:1.4rem}
a.button,button{display:block;box-sizing:border-box;width:100%;margin:.5rem 0;padding:.6rem 1rem;border:1px solid;border-radius:.4rem;font:inherit;text-align:center;text-decoration:none;color:inherit;background:none;cursor:pointer}
label{display:block;margin-top:1rem}
input{box-sizing:border-box;width:100%;padding:.6rem;border:1px solid;border-radius:.4rem;font:inherit}
a.button:focus-visible,button:focus-visible,input:focus-visible{outline:3px solid #4c6ef5;outline-offset:2px}
code{overflow-wrap:anywhere}`

/** Nothing but this style and forms to this site. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character] ?? '')

/** @param head more for the head, already escaped */
export const page = (title: string, body: string, head = ''): string =>
  `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)} - Omium</title><style>${style}</style>${head}</head>
<body><main>
<h1>${escapeHtml(title)}</h1>
${body}
</main></body>
</html>
`

export interface SignInPage {
  readonly providers: readonly { readonly id: string; readonly label: string }[]
  /** whether an address can be given: for a company's own way in or a link by mail, or for a link only */
  readonly byMail: 'any' | 'only'
  readonly returnTo: string
  readonly fresh: boolean
}

export const signInPage = ({ providers, byMail, returnTo, fresh }: SignInPage): string => {
  const query = new URLSearchParams({ return_to: returnTo, ...(fresh && { fresh: 'true' }) })
  const links = providers.map(
    ({ id, label }) =>
      `<a class="button" href="/auth/providers/${id}/start?${escapeHtml(query.toString())}">Continue with ${escapeHtml(label)}</a>`,
  )
  const form = `<form method="post" action="${byMail === 'only' ? '/auth/magic-links' : '/auth/sign-in'}">
<input type="hidden" name="return_to" value="${escapeHtml(returnTo)}">
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="email" maxlength="254" required>
<button type="submit">${byMail === 'only' ? 'Send me a link' : 'Continue with e-mail'}</button>
</form>`
  return page('Sign in', [...links, form].join('\n'))
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
<form method="post" action="/auth/sign-out"><button type="submit">Sign out</button></form>`,
  )

export const errorPage = (title: string, detail: string, code: string): string =>
  page(
    title,
    `<p role="alert">${escapeHtml(detail)}</p>
<p><a href="/auth/sign-in">Sign in</a></p>
<p><small><code>${escapeHtml(code)}</code></small></p>`,
  )
