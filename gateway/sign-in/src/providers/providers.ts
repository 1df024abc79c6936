import { readSecret } from '@omium/kit'
import { createGithubProvider } from './github.ts'
import { createOidcProvider } from './oidc.ts'
import type { Provider } from './provider.ts'
import { createProviderFetch } from './provider-fetch.ts'
import type { ProviderSettings, SignInSettings } from './settings.ts'

export interface ProvidersOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nowMs: () => number
  readonly timeoutMs: number
}

const labels = { google: 'Google', github: 'GitHub' } as const

const create = (id: string, settings: ProviderSettings, options: ProvidersOptions): Provider => {
  const { env, nowMs, timeoutMs } = options
  const label = settings.label ?? (settings.kind === 'oidc' ? id : labels[settings.kind])
  const calls = createProviderFetch({ name: label, timeoutMs, resetMs: 10_000 })
  const { clientId } = settings
  const clientSecret = settings.clientSecret === undefined ? undefined : readSecret(settings.clientSecret, env)
  const openId = { id, label, clientId, clientSecret, calls, nowMs }
  switch (settings.kind) {
    case 'oidc': {
      const { issuer, scopes, trustedAddresses: trust } = settings
      return createOidcProvider({ ...openId, issuer, scopes, trust })
    }
    case 'google': {
      const scopes = ['openid', 'email', 'profile']
      return createOidcProvider({ ...openId, issuer: 'https://accounts.google.com', scopes, trust: 'google' })
    }
    case 'github': {
      const { webUrl, apiUrl } = settings
      return createGithubProvider({ id, label, clientId, clientSecret: clientSecret ?? '', webUrl, apiUrl, calls })
    }
  }
}

/** @throws OmiumError `settings_invalid` when a secret is not where the settings say */
export const createProviders = (
  { providers }: SignInSettings,
  options: ProvidersOptions,
): ReadonlyMap<string, Provider> =>
  new Map(Object.entries(providers).map(([id, settings]) => [id, create(id, settings, options)]))
