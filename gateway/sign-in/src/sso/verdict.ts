import type { SsoConnectionRecord } from '@omium/projection-identity'
import { domainOfAddress, emailAddress, OmiumError, type Role, type SsoRoleRule } from '@omium/schemas'
import type { Account } from '../providers/provider.ts'
import { type Attributes, roleFor } from './attributes.ts'

/** What an identity provider vouched for, whichever protocol it speaks. */
export interface SsoAnswer {
  readonly account: Account
  readonly attributes: Attributes
  /** of SAML: to be taken once */
  readonly assertion: { readonly id: string; readonly expiresAt: number } | undefined
}

/** What would become of an answer: for signing in, and for telling whoever tries a connection. */
export interface Verdict {
  readonly email: string | undefined
  readonly domain: string | undefined
  /** whether the tenant has proved that the domain is its own, and the connection is for it */
  readonly own: boolean
  readonly role: Role | undefined
  readonly rule: SsoRoleRule | undefined
  readonly refusal: OmiumError | undefined
}

export const judge = (
  connection: Pick<SsoConnectionRecord, 'ownDomains' | 'rules' | 'defaultRole'>,
  { account, attributes }: Pick<SsoAnswer, 'account' | 'attributes'>,
): Verdict => {
  const parsed = emailAddress.safeParse(account.email)
  const email = parsed.success ? parsed.data : undefined
  const domain = email === undefined ? undefined : domainOfAddress(email)
  const own = domain !== undefined && connection.ownDomains.includes(domain)
  const { role, rule } = roleFor(connection, attributes)
  return { email, domain, own, role, rule, refusal: refusalOf({ email, domain, own, role }) }
}

const refusalOf = ({ email, domain, own, role }: Omit<Verdict, 'refusal' | 'rule'>): OmiumError | undefined => {
  if (email === undefined)
    return new OmiumError('sso_address_refused', 'the identity provider tells no valid e-mail address')
  if (!own)
    return new OmiumError(
      'sso_address_refused',
      `${domain} is no verified domain of this connection: who runs it has to add and verify it`,
    )
  if (role === undefined)
    return new OmiumError(
      'sso_role_none',
      'none of the rules of this connection fits, and it has no default role: ask who runs your identity provider',
    )
  return undefined
}
