import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt, exportJWK, generateKeyPair, importJWK, type JWTPayload, SignJWT } from 'jose'
import { Provider } from 'oidc-provider'

export interface IssuerAccount {
  readonly sub: string
  readonly email?: string
  readonly email_verified?: boolean
  readonly name?: string
}

/** Makes another ID token out of the claims of the real one. */
export type Forge = (claims: JWTPayload, sign: (claims: JWTPayload, alg?: string) => Promise<string>) => Promise<string>

export interface OpenIdIssuer {
  readonly url: string
  /** whoever comes is signed in as this account */
  account: IssuerAccount
  /** tampers with the answers of the token endpoint, as somebody on the way would */
  forge: Forge | undefined
  close(): Promise<void>
}

/** A real OpenID provider on loopback, without the people: it signs everybody in and consents to everything. */
export const startOpenIdIssuer = async (client: { id: string; secret: string; redirectUris: string[] }) => {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const key = { ...(await exportJWK(privateKey)), kid: 'issuer-key', alg: 'RS256', use: 'sig' }
  let answer: (request: IncomingMessage, response: ServerResponse) => void = () => undefined
  const server = createServer((request, response) => answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const issuer: OpenIdIssuer = { url, account: { sub: 'nobody' }, forge: undefined, close: () => closed(server) }

  const provider = new Provider(url, {
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        redirect_uris: client.redirectUris,
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    jwks: { keys: [key] },
    pkce: { required: () => true },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['spec'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    findAccount: (_context, accountId) => ({ accountId, claims: async () => ({ ...issuer.account, sub: accountId }) }),
    loadExistingGrant: async (context) => {
      const { session, client: asking } = context.oidc
      const grant = new provider.Grant({ accountId: session?.accountId, clientId: asking?.clientId })
      grant.addOIDCScope('openid email profile')
      await grant.save()
      return grant
    },
  })
  const handle = provider.callback()
  const sign = async (claims: JWTPayload, alg = 'RS256') =>
    new SignJWT(claims).setProtectedHeader({ alg, kid: 'issuer-key' }).sign(await importJWK({ ...key, alg }, alg))

  answer = (request, response) => {
    if (request.url?.startsWith('/interaction/')) {
      const login = { accountId: issuer.account.sub, remember: false }
      provider.interactionFinished(request, response, { login }).catch((error) => response.destroy(error))
      return
    }
    const { forge } = issuer
    if (request.url?.startsWith('/token') && forge) tamper(response, (claims) => forge(claims, sign))
    handle(request, response)
  }
  return issuer
}

const tamper = (response: ServerResponse, forge: (claims: JWTPayload) => Promise<string>): void => {
  const end = response.end.bind(response) as (body: string) => ServerResponse
  response.end = ((body: unknown) => {
    const answer = JSON.parse(String(body)) as { id_token?: string }
    if (!answer.id_token) return end(String(body))
    forge(decodeJwt(answer.id_token)).then(
      (id_token) => {
        response.removeHeader('content-length')
        end(JSON.stringify({ ...answer, id_token }))
      },
      (error) => response.destroy(error),
    )
    return response
  }) as typeof response.end
}

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
