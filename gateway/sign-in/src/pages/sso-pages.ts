import { createHash } from 'node:crypto'
import type { SsoConnectionRecord } from '@omium/projection-identity'
import type { OmiumError } from '@omium/schemas'
import type { Attributes } from '../sso/attributes.ts'
import type { Verdict } from '../sso/verdict.ts'
import { contentSecurityPolicy, escapeHtml, page } from './html.ts'

/** Pages on the way to a tenant's identity provider and back. */

/**
 * To the connection that an address belongs to. A form may lead nowhere but to this site (its redirects count), so the way to the
 * identity provider begins with a page.
 */
export const toConnectionPage = (path: string, byMail: string | undefined): string =>
  page(
    'Continue at your company',
    `<p role="status">Your company signs you in.</p>
<a class="button" href="${escapeHtml(path)}">Continue</a>
${byMail === undefined ? '' : `<p><a href="${escapeHtml(byMail)}">Sign in by mail instead</a></p>`}`,
    `<meta http-equiv="refresh" content="0;url=${escapeHtml(path)}">`,
  )

const submit = 'document.forms[0].submit()'

export const bouncePolicy = contentSecurityPolicy.replace(
  /script-src [^;]*/,
  `script-src 'sha256-${createHash('sha256').update(submit).digest('base64')}'`,
)

/**
 * The identity provider's answer, sent once more by this site itself: what another site makes a browser post comes without our
 * cookies.
 */
export const bouncePage = (path: string, response: string): string =>
  page(
    'Signing in',
    `<form method="post" action="${escapeHtml(path)}">
<input type="hidden" name="SAMLResponse" value="${escapeHtml(response)}">
<input type="hidden" name="bounced" value="true">
<button type="submit">Continue</button>
</form>
<script>${submit}</script>`,
  )

/** What a trial of a connection came to. */
export type Trial =
  | { readonly status: 'refused'; readonly error: OmiumError }
  | { readonly status: 'answered'; readonly verdict: Verdict; readonly attributes: Attributes; readonly issuer: string }

interface Step {
  readonly title: string
  readonly ok: boolean
  readonly detail: string
}

const stepsOf = (trial: Trial): Step[] => {
  if (trial.status === 'refused')
    return [
      { title: 'Answer of the identity provider', ok: false, detail: `${trial.error.code}: ${trial.error.message}` },
    ]
  const { verdict, attributes, issuer } = trial
  const { email, domain, own, role, rule } = verdict
  const why = rule ? `${rule.attribute} is ${rule.value}` : 'the default role'
  return [
    {
      title: 'Answer of the identity provider',
      ok: true,
      detail: `checked, from ${issuer}; ${attributes.size} attributes`,
    },
    { title: 'E-mail address', ok: email !== undefined, detail: email ?? 'none that is valid' },
    {
      title: 'Domain',
      ok: own,
      detail: own ? `${domain} is verified` : `${domain ?? 'none'}: not a verified domain of this connection`,
    },
    {
      title: 'Role',
      ok: role !== undefined,
      detail: role === undefined ? 'no rule fits, and there is no default' : `${role} (${why})`,
    },
  ]
}

/** What is recorded of a trial: `ok`, or the code of what is wrong. */
export const outcomeOf = (trial: Trial): string =>
  trial.status === 'refused' ? trial.error.code : (trial.verdict.refusal?.code ?? 'ok')

/** The same for machines. */
export const trialReport = (trial: Trial) => ({
  outcome: outcomeOf(trial),
  steps: stepsOf(trial),
  ...(trial.status === 'refused' && trial.error.data !== undefined && { data: trial.error.data }),
  ...(trial.status === 'answered' && {
    attributes: Object.fromEntries(trial.attributes),
    email: trial.verdict.email,
    role: trial.verdict.role,
  }),
})

export const trialPage = ({ name, status }: Pick<SsoConnectionRecord, 'name' | 'status'>, trial: Trial): string => {
  const steps = stepsOf(trial)
    .map(({ title, ok, detail }) => `<li>${ok ? 'OK' : 'Failed'}: ${escapeHtml(title)}: ${escapeHtml(detail)}</li>`)
    .join('\n')
  const received =
    trial.status === 'answered'
      ? `<h2>Received</h2>\n<dl>${[...trial.attributes]
          .map(
            ([attribute, values]) =>
              `<dt><code>${escapeHtml(attribute)}</code></dt><dd>${escapeHtml(values.join(', '))}</dd>`,
          )
          .join('\n')}</dl>`
      : ''
  const ok = outcomeOf(trial) === 'ok'
  return page(
    ok ? 'The connection works' : 'The connection does not work yet',
    `<p role="status">A trial of ${escapeHtml(name)} (${status}). Nobody was signed in.</p>
<ol>${steps}</ol>
${received}`,
  )
}
