import { isLoopback, OmiumError } from '@omium/schemas'
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  Configuration,
  calculatePKCECodeChallenge,
  customFetch,
  fetchProtectedResource,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client'
import { z } from 'zod'
import type { Account, Provider, ProviderSecrets } from './provider.ts'
import type { ProviderFetch } from './provider-fetch.ts'
import { asRefusal } from './refusals.ts'

export interface GithubOptions {
  readonly id: string
  readonly label: string
  readonly clientId: string
  readonly clientSecret: string
  readonly webUrl: string
  readonly apiUrl: string
  readonly calls: ProviderFetch
}

const user = z.object({ id: z.number().int(), name: z.string().nullish() })
const emails = z.array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }))

/** GitHub: OAuth 2 with PKCE, no OpenID; who it is and which addresses are verified is asked of its API. */
export const createGithubProvider = (options: GithubOptions): Provider => {
  const { id, label, clientId, clientSecret, webUrl, apiUrl, calls } = options
  const config = new Configuration(
    {
      issuer: webUrl,
      authorization_endpoint: `${webUrl}/login/oauth/authorize`,
      token_endpoint: `${webUrl}/login/oauth/access_token`,
    },
    clientId,
    clientSecret,
  )
  config[customFetch] = calls.fetch
  if (isLoopback(webUrl)) allowInsecureRequests(config)

  const ask = async <T>(token: string, path: string, schema: z.ZodType<T>): Promise<T> => {
    const headers = new Headers({ accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28' })
    const response = await fetchProtectedResource(config, token, new URL(`${apiUrl}${path}`), 'GET', null, headers)
    if (!response.ok) throw new RangeError(`${path} answers ${response.status}`)
    return schema.parse(await response.json())
  }

  const accountOf = async (answer: URL, secrets: ProviderSecrets): Promise<Account> => {
    const { access_token: token } = await authorizationCodeGrant(config, answer, {
      pkceCodeVerifier: secrets.codeVerifier,
      expectedState: secrets.state,
    })
    const [{ id: subject, name }, addresses] = await Promise.all([
      ask(token, '/user', user),
      ask(token, '/user/emails?per_page=100', emails),
    ])
    return {
      method: 'github',
      issuer: webUrl,
      subject: String(subject),
      email: addresses.find(({ primary, verified }) => primary && verified)?.email,
      name: name ?? undefined,
      amr: [],
      authenticatedAt: 0,
    }
  }

  return {
    id,
    label,
    begin: async (redirectUri, fresh) => {
      if (fresh)
        throw new OmiumError('reauthentication_required', `${label} cannot ask you to sign in anew: use another way`)
      const secrets = { state: randomState(), nonce: '', codeVerifier: randomPKCECodeVerifier(), fresh }
      const url = buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: 'read:user user:email',
        state: secrets.state,
        code_challenge: await calculatePKCECodeChallenge(secrets.codeVerifier),
        code_challenge_method: 'S256',
      })
      return { url, secrets }
    },
    finish: (answer, secrets) =>
      accountOf(answer, secrets).catch((error: unknown) => {
        throw asRefusal(label, error)
      }),
    close: calls.close,
  }
}
