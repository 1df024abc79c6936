import { getSession, type SessionRecord } from '@omium/projection-identity'
import type { Reads } from '@omium/projection-kit'
import { OmiumError, type Permission } from '@omium/schemas'
import { isServiceToken, type VerifiedServiceToken } from '@omium/worker-tokens'
import type { Caller } from './caller.ts'
import { remember } from './remembered.ts'
import type { Rights } from './rights.ts'

/**
 * Who comes with a service token: the key or the person behind it, with what the token names of what they may do now. Whoever is
 * revoked, removed or signed out is out as with the key or the session itself.
 */
export interface ServiceTokens {
  isOne(token: string): boolean
  /** @throws OmiumError `unauthenticated`, `forbidden` from a wrong address, `outside_hours` */
  lookup(token: string, address: string): Promise<Caller>
}

export interface ServiceTokenOptions {
  readonly verify: (token: string) => Promise<VerifiedServiceToken>
  readonly rights: Rights
  readonly reads: Reads
  readonly nowMs: () => number
}

/** What nobody gets by a token of minutes: power to make what outlives it. */
export const notForServices: readonly Permission[] = [
  'keys:write',
  'members:write',
  'tenant:write',
  'sso:write',
  'webhooks:write',
  'billing:write',
  'privacy:write',
  'tokens:write',
]

const cacheMs = 2_000

export const createServiceTokens = ({ verify, rights, reads, nowMs }: ServiceTokenOptions): ServiceTokens => {
  const { apiKeys, members, ended, isFollowed } = rights
  const sessions = remember<SessionRecord | undefined>({
    ask: (name) => getSession(reads, ...(name.split('/') as [string, string])),
    outlasts: (session) => session !== undefined,
    isFollowed,
    nowMs,
    cacheMs,
  })
  const gone = () => new OmiumError('unauthenticated', 'what the service token stands for is revoked or has ended')

  const behind = async ({ tenant, source }: VerifiedServiceToken, address: string): Promise<Caller> => {
    if ('key' in source) {
      const caller = await apiKeys.find(tenant, source.key, address)
      if (!caller) throw gone()
      return caller
    }
    if (ended.has(source.session)) throw gone()
    const session = await sessions.get(`${source.user}/${source.session}`)
    const isOpen = session?.endedAt === null && session.expiresAt.getTime() > nowMs() && session.tenant === tenant
    if (!isOpen) throw gone()
    const { amr, authenticatedAt, mfaAt, login } = session
    const person = { userId: source.user, sessionId: source.session, tenant, amr, login, mfaAt: mfaAt?.getTime() }
    return members.callerFor({ ...person, authenticatedAt: authenticatedAt.getTime() }, address)
  }

  return {
    isOne: isServiceToken,
    lookup: async (token, address) => {
      const verified = await verify(token)
      const caller = await behind(verified, address)
      const permissions = verified.permissions.filter((one) => caller.permissions.has(one))
      // it acts in somebody's name, and proves nothing about a person being there; policies for their role hold for it too
      return { ...caller, permissions: new Set(permissions), isService: true, session: undefined, mfaAt: undefined }
    },
  }
}
