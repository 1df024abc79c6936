import { readFileSync } from 'node:fs'
import { secretRef } from '@omium/kit'
import { OmiumError } from '@omium/schemas'
import { parse } from 'yaml'
import { z } from 'zod'

/** Identity providers (`OMIUM_SIGN_IN_FILE`), YAML or JSON. Unknown members are refused: they are typing errors. */
const label = z.string().min(1).max(60).optional()
const client = { clientId: z.string().min(1).max(500), clientSecret: secretRef }
const webUrl = z.url({ protocol: /^https?$/ })

/**
 * Whose addresses a provider is believed about: whoever controls it can sign in as anybody with such an address. `verified`: any
 * that it calls verified. Otherwise those of the domains that are listed.
 */
const trustedAddresses = z.union([z.literal('verified'), z.array(z.string().toLowerCase().max(253)).max(100)])

const oidc = z.strictObject({
  kind: z.literal('oidc'),
  label,
  issuer: webUrl,
  ...client,
  /** a public client has none */
  clientSecret: secretRef.optional(),
  scopes: z.array(z.string().max(100)).max(20).default(['openid', 'email', 'profile']),
  trustedAddresses,
})
const google = z.strictObject({ kind: z.literal('google'), label, ...client })
const github = z.strictObject({
  kind: z.literal('github'),
  label,
  ...client,
  /** others for GitHub Enterprise */
  webUrl: webUrl.default('https://github.com'),
  apiUrl: webUrl.default('https://api.github.com'),
})

export const signInSettings = z.strictObject({
  version: z.literal(1),
  /** by the name that their addresses have here: `/auth/providers/<name>/callback` */
  providers: z.record(
    z.string().regex(/^[a-z0-9][a-z0-9-]{0,49}$/),
    z.discriminatedUnion('kind', [oidc, google, github]),
  ),
})
export type SignInSettings = z.infer<typeof signInSettings>
export type ProviderSettings = SignInSettings['providers'][string]
export type OidcSettings = z.infer<typeof oidc>

/** @throws OmiumError `settings_invalid` with one line for each thing that is wrong */
export const readSignInSettings = (file: string | undefined): SignInSettings => {
  if (file === undefined) return { version: 1, providers: {} }
  let value: unknown
  try {
    // YAML holds JSON
    value = parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new OmiumError('settings_invalid', `${file} cannot be read as YAML`, { cause })
  }
  const parsed = signInSettings.safeParse(value)
  if (parsed.success) return parsed.data
  const lines = parsed.error.issues.map(({ path, message }) => `  ${path.join('.') || 'file'}: ${message}`)
  throw new OmiumError('settings_invalid', `${file}: ${lines.length} bad setting(s)\n${lines.join('\n')}`)
}
