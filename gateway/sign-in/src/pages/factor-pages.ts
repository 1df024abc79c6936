import type { FactorKind } from '@omium/schemas'
import type { FactorView } from '../factors/second-factors.ts'
import { escapeHtml, page, sentence } from './html.ts'
import { webAuthnScript } from './webauthn-script.ts'

/** Pages for second factors. Codes work without script; security keys and passkeys need the one that there is. */
const withScript = (body: string): string =>
  `${body}\n<noscript><p>Security keys and passkeys need script.</p></noscript>\n<script>${webAuthnScript}</script>`

const hidden = (name: string, value: string): string =>
  `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`

/** A form that a security key or passkey answers. */
const keyForm = (
  action: string,
  act: 'create' | 'get',
  button: string,
  fields: string,
): string => `<form method="post" action="${action}" data-begin="${action}/begin" data-act="${act}">
${fields}${hidden('response', '')}
<button type="submit">${button}</button>
<p role="status"></p>
</form>`

/** Signing in with a passkey alone. */
export const passkeyForm = (returnTo: string): string =>
  withScript(keyForm('/auth/passkeys', 'get', 'Sign in with a passkey', hidden('return_to', returnTo)))

export interface SecondFactorPage {
  readonly returnTo: string
  /** they have a security key or a passkey */
  readonly keys: boolean
}

export const secondFactorPage = ({ returnTo, keys }: SecondFactorPage): string => {
  const landing = hidden('return_to', returnTo)
  const byCode = `<form method="post" action="/auth/mfa/code">
${landing}
<label for="code">Code of your authenticator app, or a recovery code</label>
<input id="code" name="code" autocomplete="one-time-code" maxlength="40" spellcheck="false" required autofocus>
<button type="submit">Continue</button>
</form>`
  const byKey = keyForm('/auth/mfa/webauthn', 'get', 'Use a security key or passkey', landing)
  const other = '<p><a href="/auth/sign-in">Sign in as somebody else</a></p>'
  return page('Second factor', keys ? withScript(`${byKey}\n${byCode}\n${other}`) : `${byCode}\n${other}`)
}

const kindNames: Readonly<Record<FactorKind, string>> = {
  totp: 'authenticator app',
  security_key: 'security key',
  passkey: 'passkey',
}

export interface FactorsPage {
  readonly items: readonly FactorView[]
  readonly recoveryCodesLeft: number
  /** browsers know credentials for this installation */
  readonly keys: boolean
}

const labelField = (id: string, name: string): string =>
  `<label for="${id}">Name</label>
<input id="${id}" name="label" maxlength="100" value="${name}" required>`

export const factorsPage = ({ items, recoveryCodesLeft, keys }: FactorsPage): string => {
  const rows = items.map(
    ({ id, kind, label, suspectedAt }) => `<li>${escapeHtml(label)} (${kindNames[kind]})
${suspectedAt ? '<strong role="alert">It may have been copied: its counter went back.</strong>' : ''}
<form method="post" action="/auth/factors/${id}/remove"><button type="submit">Remove ${escapeHtml(label)}</button></form></li>`,
  )
  const list =
    rows.length > 0
      ? `<ul>${rows.join('\n')}</ul>
<p>${recoveryCodesLeft} recovery codes are left.</p>
<form method="post" action="/auth/recovery-codes"><button type="submit">Make new recovery codes</button></form>`
      : '<p>You have none yet. With one, nobody gets in with your mail alone.</p>'
  const app = `<h2>Add an authenticator app</h2>
<form method="post" action="/auth/factors/totp/begin"><button type="submit">Show a QR code</button></form>`
  const key = (kind: 'passkey' | 'security_key') => `<h2>Add a ${kindNames[kind]}</h2>
${keyForm('/auth/factors/webauthn', 'create', 'Continue', `${hidden('kind', kind)}${labelField(kind, sentence(kindNames[kind]))}`)}`
  const back = '<p><a href="/auth/session">Back</a></p>'
  const body = [list, app, ...(keys ? [key('passkey'), key('security_key')] : []), back].join('\n')
  return page('Second factors', keys ? withScript(body) : body)
}

export const totpPage = ({ secret, qrCode }: { readonly secret: string; readonly qrCode: string }): string =>
  page(
    'Authenticator app',
    `<p>Read this with the app, or type the secret in.</p>
<div role="img" aria-label="QR code of the secret">${qrCode}</div>
<p><code>${escapeHtml(secret)}</code></p>
<form method="post" action="/auth/factors/totp">
${labelField('label', sentence(kindNames.totp))}
<label for="code">Code that the app shows</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="10" required>
<button type="submit">Add</button>
</form>
<p><a href="/auth/factors">Not now</a></p>`,
  )

export const recoveryCodesPage = (codes: readonly string[]): string =>
  page(
    'Recovery codes',
    `<p>Each gets you in once when your device is lost. They are shown this once: keep them where the device is not.</p>
<ul>${codes.map((code) => `<li><code>${escapeHtml(code)}</code></li>`).join('')}</ul>
<p><a href="/auth/factors">I have kept them</a></p>`,
  )
