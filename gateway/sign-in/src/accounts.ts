import type { PersonalData } from '@omium/personal-data'
import type { UserRecord } from '@omium/projection-identity'
import { aggregateKey, emailAddress, type IdSource, type Login, OmiumError, platformTenant } from '@omium/schemas'
import { derivedId } from './identifiers.ts'
import type { IdentityCommands, IdentityReads } from './ports.ts'
import type { Account } from './providers/provider.ts'

/**
 * From a proven account to a user of the platform with a tenant to work in.
 *
 * 1. Two first sign-ins with one address at the same moment make one user with one tenant: the claim of the address decides.
 * 2. After a crash between any two steps, signing in again completes what was begun, and makes nothing twice: each step is a
 *    command that changes nothing when it is so already.
 * 3. An account is linked to a user by an address only if the account's provider is believed about the address. One that is
 *    linked already needs no address any more.
 * 4. Personal data is sealed under the user that has the address, never under one that does not come to be.
 */
export interface Accounts {
  /**
   * @returns the user and the tenant to begin in
   * @throws OmiumError `address_unverified`, `tenant_none`, or whatever the log refuses
   */
  signIn(account: Account, correlationId: string): Promise<SignedIn>
  /**
   * Whose the account is; linked or registered at the first time.
   * @param founds whether who is new gets a tenant of their own
   * @throws OmiumError `address_unverified`, `sign_in_refused`
   */
  identify(account: Account, correlationId: string, options: { founds: boolean }): Promise<Identified>
  /** A user who needs no account: a passkey of theirs was proved. @throws OmiumError `sign_in_refused`, `tenant_none` */
  enter(userId: string, login: Login, correlationId: string): Promise<SignedIn>
}

export interface Identified {
  readonly userId: string
  readonly login: Login
}

export interface SignedIn extends Identified {
  readonly tenant: string
}

export interface AccountsOptions {
  readonly identity: IdentityCommands
  readonly reads: IdentityReads
  readonly personalData: PersonalData
  readonly ids: IdSource
}

const personalTenantName = 'Personal'

export const createAccounts = ({ identity, reads, personalData, ids }: AccountsOptions): Accounts => {
  const claim = async (address: string, correlationId: string): Promise<string> => {
    const known = await reads.userOfAddress(address)
    if (known) return known
    const candidate = ids('user')
    const aggregate = aggregateKey('address', platformTenant, address)
    const asker = { tenant: platformTenant, actor: `user:${candidate}`, correlationId }
    await identity.execute(asker, aggregate, ids('command'), { type: 'ClaimAddress', data: { userId: candidate } })
    await identity.untilCurrent(aggregate)
    const winner = await reads.userOfAddress(address)
    if (!winner) throw new OmiumError('unavailable', 'the address was given up at this very moment: sign in again')
    return winner
  }

  const register = async (account: Account, login: Login, correlationId: string, founds: boolean): Promise<string> => {
    if (account.email === undefined)
      throw new OmiumError(
        'address_unverified',
        'the provider does not vouch for your e-mail address, or is not trusted to. Verify the address there, or sign in by e-mail',
      )
    const email = emailAddress.safeParse(account.email)
    if (!email.success) throw new OmiumError('address_unverified', 'the provider names no valid e-mail address')
    const address = personalData.digest('email', email.data)
    const userId = await claim(address, correlationId)
    const [sealedEmail, name] = await Promise.all([
      personalData.seal(userId, email.data),
      account.name === undefined ? undefined : personalData.seal(userId, account.name.slice(0, 200)),
    ])
    // one user, one first tenant: whoever comes second asks for the same
    const tenant = { id: userId.replace(/^usr_/, 'ten_'), name: personalTenantName }
    const aggregate = userKey(userId)
    await identity.execute(
      { tenant: platformTenant, actor: `user:${userId}`, correlationId },
      aggregate,
      ids('command'),
      {
        type: 'RegisterUser',
        data: { address, email: sealedEmail, ...(name && { name }), login, ...(founds && { tenant }) },
      },
    )
    await identity.untilCurrent(aggregate)
    return userId
  }

  /** The founding of the first tenant is on its way already; asking for it again, and waiting, makes it visible now. */
  const tenantOf = async ({ id: userId, tenant }: UserRecord, correlationId: string): Promise<string> => {
    const [first] = await reads.memberships(userId)
    if (first) return first.tenant
    if (tenant) {
      const aggregate = aggregateKey('tenant', tenant, tenant)
      await identity.execute(
        { tenant, actor: `user:${userId}`, correlationId },
        aggregate,
        derivedId('command', 'found', tenant),
        { type: 'FoundTenant', data: { name: personalTenantName, owner: userId } },
      )
      await identity.untilCurrent(aggregate)
      const [founded] = await reads.memberships(userId)
      if (founded) return founded.tenant
    }
    throw new OmiumError('tenant_none', 'you are a member of no tenant: ask somebody to invite you')
  }

  const known = async (account: Account, correlationId: string, founds: boolean): Promise<Identified> => {
    const { method, issuer, subject } = account
    const login = { method, issuer, subject: personalData.digest('login', `${issuer} ${subject}`) }
    return {
      userId: (await reads.userOfLogin(login)) ?? (await register(account, login, correlationId, founds)),
      login,
    }
  }

  const enter = async (userId: string, login: Login, correlationId: string): Promise<SignedIn> => {
    const user = await reads.user(userId)
    if (!user || user.erasedAt) throw new OmiumError('sign_in_refused', 'this account was erased')
    return { userId, login, tenant: await tenantOf(user, correlationId) }
  }

  return {
    enter,
    signIn: async (account, correlationId) => {
      const { userId, login } = await known(account, correlationId, true)
      return enter(userId, login, correlationId)
    },
    identify: (account, correlationId, { founds }) => known(account, correlationId, founds),
  }
}

/** The aggregate of a user and of everything about their sessions. */
export const userKey = (userId: string): string => aggregateKey('user', platformTenant, userId)
