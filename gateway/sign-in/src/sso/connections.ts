import type { PersonalData } from '@omium/personal-data'
import type { SsoConnectionRecord } from '@omium/projection-identity'
import { createLru } from '@omium/resilience'
import { domainOfAddress, hashJson, OmiumError, type SsoConnection, ssoIssuer } from '@omium/schemas'
import type { CustomFetch } from 'openid-client'
import type { IdentityReads } from '../ports.ts'
import { createOidcProvider } from '../providers/oidc.ts'
import type { Provider, ProviderSecrets } from '../providers/provider.ts'
import { createProviderFetch } from '../providers/provider-fetch.ts'
import { attributesOfClaims, personIn } from './attributes.ts'
import { createServiceProvider, type ServiceProvider } from './saml/service-provider.ts'
import type { SsoAnswer } from './verdict.ts'

/**
 * The identity providers of tenants, as the read model has them.
 *
 * 1. Settings are read anew for each sign-in; what is made of them is kept for as long as they stay the same. So each connection
 *    has a breaker of its own, and none is any other tenant's.
 * 2. An account's issuer is its connection, whatever the provider calls itself: nobody can stand in for another tenant's.
 * 3. A provider is believed about addresses because its tenant has proved that the domain is its own (`verdict.ts`), so a mark
 *    that an address is verified is not needed; one that it is not verified counts.
 */
export interface SsoConnections {
  /** @throws OmiumError `sso_connection_unknown` */
  get(id: string): Promise<SsoConnectionRecord>
  /** the connection that signs in whoever has this address; says nothing about whether there is anybody */
  ofAddress(email: string): Promise<string | undefined>
  begin(connection: SsoConnectionRecord, fresh: boolean): Promise<{ readonly url: URL; readonly secrets: SsoSecrets }>
  /** @param answer the redirect address with its query. @throws OmiumError `sign_in_refused`, `unavailable` */
  finishOidc(connection: SsoConnectionRecord, answer: URL, secrets: ProviderSecrets): Promise<SsoAnswer>
  /** @throws OmiumError `sso_assertion_refused` */
  finishSaml(connection: SsoConnectionRecord, response: string, requestId: string | undefined): Promise<SsoAnswer>
  metadata(connection: SsoConnectionRecord): Promise<string>
  close(): void
}

/** What has to be remembered, in the browser that began, until the identity provider answers. */
export type SsoSecrets = { readonly oidc: ProviderSecrets } | { readonly saml: { readonly requestId: string } }

export interface SsoConnectionsOptions {
  readonly publicUrl: string
  readonly reads: Pick<IdentityReads, 'ssoConnection' | 'ssoConnectionOfDomain'>
  readonly personalData: Pick<PersonalData, 'open'>
  readonly fetch: CustomFetch
  /** whether providers may be spoken to without TLS */
  readonly plainHttp: boolean
  readonly nowMs: () => number
}

type Made =
  | { readonly kind: 'oidc'; readonly provider: Provider }
  | { readonly kind: 'saml'; readonly provider: ServiceProvider; readonly settings: SamlSettings }
type SamlSettings = Extract<SsoConnection['settings'], { kind: 'saml' }>

const mostKept = 500

export const ssoRedirectUri = (publicUrl: string, id: string): string => `${publicUrl}/auth/sso/${id}/callback`

export const createSsoConnections = (options: SsoConnectionsOptions): SsoConnections => {
  const { publicUrl, reads, personalData, fetch, plainHttp, nowMs } = options
  const kept = createLru<{ readonly made: Promise<Made>; close(): void }>(mostKept)

  const unseal = async (sealed: string): Promise<string> => {
    const secret = await personalData.open(sealed)
    if (secret === undefined) throw new OmiumError('internal', 'a secret of the connection cannot be opened')
    return secret
  }

  const make = async ({ id, name, settings }: SsoConnectionRecord): Promise<Made> => {
    if (settings.kind === 'saml') {
      const key = await unseal(settings.key)
      const provider = createServiceProvider({ publicUrl, connectionId: id, settings, key, nowMs })
      return { kind: 'saml', provider, settings }
    }
    const { issuer, clientId, clientSecret, scopes } = settings
    const provider = createOidcProvider({
      id,
      label: name,
      issuer,
      clientId,
      clientSecret: clientSecret === undefined ? undefined : await unseal(clientSecret),
      scopes,
      trust: 'own_domains',
      calls: createProviderFetch({ name, timeoutMs: 10_000, resetMs: 10_000, send: fetch }),
      plainHttp,
      nowMs,
    })
    return { kind: 'oidc', provider }
  }

  const madeOf = (connection: SsoConnectionRecord): Promise<Made> => {
    const key = `${connection.id} ${hashJson([connection.name, connection.settings])}`
    return kept.get(key, () => {
      const made = make(connection)
      made.catch(() => kept.drop(key))
      const close = () => made.then((one) => one.kind === 'oidc' && one.provider.close()).catch(() => undefined)
      return { made, close: () => void close() }
    }).made
  }

  const samlOf = async (connection: SsoConnectionRecord) => {
    const made = await madeOf(connection)
    if (made.kind !== 'saml') throw new OmiumError('not_found', `${connection.id} does not speak SAML`)
    return made
  }

  return {
    get: async (id) => {
      const connection = await reads.ssoConnection(id)
      if (!connection) throw new OmiumError('sso_connection_unknown', 'there is no such way to sign in')
      return connection
    },
    ofAddress: (email) => reads.ssoConnectionOfDomain(domainOfAddress(email)),
    begin: async (connection, fresh) => {
      const made = await madeOf(connection)
      if (made.kind === 'oidc') {
        const { url, secrets } = await made.provider.begin(ssoRedirectUri(publicUrl, connection.id), fresh)
        return { url, secrets: { oidc: secrets } }
      }
      const { url, requestId } = await made.provider.begin(fresh)
      return { url, secrets: { saml: { requestId } } }
    },
    finishOidc: async (connection, answer, secrets) => {
      const made = await madeOf(connection)
      if (made.kind !== 'oidc') throw new OmiumError('not_found', `${connection.id} does not speak OpenID Connect`)
      const account = await made.provider.finish(answer, secrets)
      const issuer = ssoIssuer(connection.tenant, connection.id)
      return {
        account: { ...account, issuer },
        attributes: attributesOfClaims(account.claims ?? {}),
        assertion: undefined,
      }
    },
    finishSaml: async (connection, response, requestId) => {
      const { provider, settings } = await samlOf(connection)
      const { assertionId, expiresAt, nameId, transient, authenticatedAt, attributes } = await provider.finish(
        response,
        requestId,
      )
      const { email, name } = personIn(attributes, nameId, settings)
      return {
        account: {
          method: 'saml',
          issuer: ssoIssuer(connection.tenant, connection.id),
          // a name that changes at each sign-in says nothing about who it is; the address does. A name that only looks like that
          // is another account: names are trimmed, so none begins with a space
          subject: transient ? `email:${email?.toLowerCase()}` : nameId.replace(/^email:/, ' email:'),
          email,
          name,
          amr: [],
          authenticatedAt,
        },
        attributes,
        assertion: { id: assertionId, expiresAt },
      }
    },
    metadata: async (connection) => (await samlOf(connection)).provider.metadata(),
    close: kept.close,
  }
}
