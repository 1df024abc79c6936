import { isLoopback } from '@omium/schemas'
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  type Configuration,
  calculatePKCECodeChallenge,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  type IDToken,
  None,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client'
import { type AddressClaims, type AddressTrust, trustedAddress } from './address-trust.ts'
import type { Account, Provider, ProviderSecrets } from './provider.ts'
import type { ProviderFetch } from './provider-fetch.ts'
import { asRefusal } from './refusals.ts'

export interface OidcOptions {
  readonly id: string
  readonly label: string
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly scopes: readonly string[]
  readonly trust: AddressTrust
  readonly calls: ProviderFetch
  /** whether an issuer that is not on this machine may be spoken to without TLS */
  readonly plainHttp?: boolean
  readonly nowMs: () => number
}

/** a discovery document is read again after so long */
const rediscoverMs = 3_600_000
/** a fresh proof may be so old when it arrives: consent pages take people time */
const freshSeconds = 300

/**
 * Any OpenID Connect provider: authorization code flow with PKCE (S256), state and nonce; the ID token's signature is checked
 * although it comes over TLS. Plain http is spoken with loopback only.
 */
export const createOidcProvider = (options: OidcOptions): Provider => {
  const { id, label, issuer, clientId, clientSecret, scopes, trust, calls, plainHttp = false, nowMs } = options
  let discovered: { readonly at: number; readonly configuration: Promise<Configuration> } | undefined

  const configuration = (): Promise<Configuration> => {
    if (discovered && nowMs() - discovered.at < rediscoverMs) return discovered.configuration
    const found = discovery(new URL(issuer), clientId, clientSecret, clientSecret === undefined ? None() : undefined, {
      [customFetch]: calls.fetch,
      execute: [enableNonRepudiationChecks, ...(plainHttp || isLoopback(issuer) ? [allowInsecureRequests] : [])],
    })
    const entry = { at: nowMs(), configuration: found }
    discovered = entry
    found.catch(() => {
      if (discovered === entry) discovered = undefined
    })
    return found
  }

  const addressOf = async (config: Configuration, claims: IDToken, accessToken: string): Promise<AddressClaims> => {
    if (claims['email'] !== undefined || !config.serverMetadata().userinfo_endpoint) return claims
    return fetchUserInfo(config, accessToken, claims.sub)
  }

  const accountOf = async (answer: URL, secrets: ProviderSecrets): Promise<Account> => {
    const config = await configuration()
    const tokens = await authorizationCodeGrant(config, answer, {
      pkceCodeVerifier: secrets.codeVerifier,
      expectedState: secrets.state,
      expectedNonce: secrets.nonce,
      idTokenExpected: true,
      ...(secrets.fresh && { maxAge: freshSeconds }),
    })
    const claims = tokens.claims()
    if (!claims) throw new RangeError('no ID token')
    const address = await addressOf(config, claims, tokens.access_token)
    const { name, amr, auth_time: authTime } = claims
    return {
      method: 'oidc',
      issuer: claims.iss,
      subject: claims.sub,
      email: trustedAddress(address, trust),
      name: typeof name === 'string' ? name : undefined,
      amr: Array.isArray(amr)
        ? amr.filter((one): one is string => typeof one === 'string' && one.length <= 40).slice(0, 10)
        : [],
      authenticatedAt: typeof authTime === 'number' ? Math.min(authTime * 1000, nowMs()) : 0,
      claims: { ...claims, ...address },
    }
  }

  return {
    id,
    label,
    begin: async (redirectUri, fresh) => {
      const secrets = { state: randomState(), nonce: randomNonce(), codeVerifier: randomPKCECodeVerifier(), fresh }
      try {
        const url = buildAuthorizationUrl(await configuration(), {
          redirect_uri: redirectUri,
          scope: scopes.join(' '),
          state: secrets.state,
          nonce: secrets.nonce,
          code_challenge: await calculatePKCECodeChallenge(secrets.codeVerifier),
          code_challenge_method: 'S256',
          ...(fresh && { prompt: 'login', max_age: '0' }),
        })
        return { url, secrets }
      } catch (error) {
        throw asRefusal(label, error)
      }
    },
    finish: (answer, secrets) =>
      accountOf(answer, secrets).catch((error: unknown) => {
        throw asRefusal(label, error)
      }),
    close: calls.close,
  }
}
