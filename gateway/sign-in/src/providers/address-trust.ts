import type { OidcSettings } from './settings.ts'

/** What an OpenID provider says about an address (OpenID Connect Core 5.1). */
export interface AddressClaims {
  readonly sub: string
  readonly email?: unknown
  readonly email_verified?: unknown
  /** Google: the Workspace domain that manages the account */
  readonly hd?: unknown
}

/**
 * `own_domains`: of a tenant's provider, about the domains that the tenant has proved to be its own, which is checked for every
 * answer of it (`sso/verdict.ts`). Such providers seldom mark addresses as verified.
 */
export type AddressTrust = OidcSettings['trustedAddresses'] | 'google' | 'own_domains'

const domainOf = (email: string): string => email.slice(email.lastIndexOf('@') + 1).toLowerCase()

/**
 * The address, if the provider calls it verified and is believed about it. Google is authoritative for its own mail and for the
 * domains that it manages only; about others it may know what was true years ago.
 */
export const trustedAddress = (claims: AddressClaims, trust: AddressTrust): string | undefined => {
  const { email, email_verified: verified, hd } = claims
  if (typeof email !== 'string') return undefined
  if (trust === 'own_domains') return verified === false || verified === 'false' ? undefined : email
  if (verified !== true) return undefined
  if (!email.includes('@')) return undefined
  const domain = domainOf(email)
  const trusted =
    trust === 'verified' ||
    (trust === 'google'
      ? domain === 'gmail.com' || (typeof hd === 'string' && hd.toLowerCase() === domain)
      : trust.includes(domain))
  return trusted ? email : undefined
}
