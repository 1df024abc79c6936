import { factorKindsOf, type Membership, membershipIn, type SsoDemand, ssoDemandOn } from '@omium/projection-identity'
import type { Reads } from '@omium/projection-kit'
import { type FactorKind, OmiumError, rolePermissions } from '@omium/schemas'
import type { Caller, SessionCaller } from './caller.ts'
import { inHours } from './hours.ts'
import { inRanges } from './ranges.ts'
import { type Reached, type RememberOptions, remember } from './remembered.ts'
import { requireOwnSignIn } from './sso-demand.ts'
import { requireDemandedFactor, requireFreshProof } from './step-up.ts'

/**
 * What a person may do in the tenant of their session: their role there, asked for and remembered for a few seconds. Who is
 * no member (any more) is known and may do nothing, as soon as the log says so. Whether what they proved is enough for it: step-up.ts.
 */
export interface Members {
  /**
   * @throws OmiumError `forbidden` from an address that the tenant does not allow, `outside_hours`; `sso_required` where it demands
   *   its own sign-in; `mfa_enrolment_required` and `step_up_required` where it demands a second factor
   */
  callerFor(session: SessionCaller, address: string): Promise<Caller>
  /** For what is sensitive. @throws OmiumError `step_up_required` */
  requireFreshProof(session: SessionCaller): Promise<void>
  /** Somebody became a member, or their role changed, as the log says. @param reached until the read model has it */
  changed(tenant: string, userId: string, reached: Reached): void
  /** Somebody is no member any more, as the log says: known without the read model. */
  removed(tenant: string, userId: string, reached: Reached): void
  /** What holds for all members of a tenant changed, as the log says. */
  tenantChanged(tenant: string, reached: Reached): void
  /** A second factor was added or removed, as the log says. */
  factorsChanged(userId: string, reached: Reached): void
}

export interface MemberOptions {
  readonly reads: Reads
  /**
   * Unseals an address; undefined once its owner is erased. A process that cannot open addresses holds every member to "SSO
   * only", whatever their domain.
   */
  readonly open?: (sealed: string) => Promise<string | undefined>
  readonly isFollowed: RememberOptions<unknown>['isFollowed']
  readonly nowMs: () => number
  readonly cacheMs?: number
}

const mostRemoved = 10_000

const nameOf = (tenant: string, userId: string): string => `${tenant}/${userId}`
const ofTenant = (tenant: string): string => `tenant:${tenant}`

interface Standing {
  readonly membership: Membership
  readonly demand: SsoDemand | undefined
}

export const createMembers = ({ reads, open, isFollowed, nowMs, cacheMs = 3_000 }: MemberOptions): Members => {
  const removed = new Set<string>()
  const standings = remember<Standing | undefined>({
    ask: async (name) => {
      const [tenant, userId] = partsOf(name)
      const membership = await membershipIn(reads, tenant, userId)
      if (!membership) return undefined
      const demand = membership.ssoRequired ? await ssoDemandOn(reads, tenant, userId, open) : undefined
      return { membership, demand }
    },
    outlasts: (standing) => standing !== undefined,
    about: (name) => [ofTenant(partsOf(name)[0])],
    isFollowed,
    nowMs,
    cacheMs,
  })
  const factors = remember<readonly FactorKind[]>({
    ask: (userId) => factorKindsOf(reads, userId),
    outlasts: () => true,
    isFollowed,
    nowMs,
    cacheMs,
  })
  return {
    callerFor: async (session, address) => {
      const { tenant, userId } = session
      const name = nameOf(tenant, userId)
      const standing = removed.has(name) ? undefined : await standings.get(name)
      const membership = standing?.membership
      if (membership && !inRanges(membership.ranges, address))
        throw new OmiumError('forbidden', 'this tenant may not be used from this address')
      if (membership && !inHours(membership.hours, nowMs()))
        throw new OmiumError('outside_hours', 'this tenant may not be used at this time')
      if (standing?.demand) requireOwnSignIn(standing.demand, session, standing.membership.role)
      if (membership?.mfaRequired) requireDemandedFactor(session, await factors.get(userId))
      return {
        tenant,
        id: userId,
        actor: `user:${userId}`,
        permissions: new Set(membership ? rolePermissions[membership.role] : []),
        limits: undefined,
        session,
        role: membership?.role,
        mfaAt: session.mfaAt,
      }
    },
    requireFreshProof: async (session) => requireFreshProof(session, await factors.get(session.userId), nowMs()),
    changed: (tenant, userId, reached) => {
      const name = nameOf(tenant, userId)
      removed.delete(name)
      standings.changed(name, reached)
    },
    removed: (tenant, userId, reached) => {
      const name = nameOf(tenant, userId)
      standings.changed(name, reached)
      removed.add(name)
      if (removed.size > mostRemoved) removed.delete(removed.values().next().value as string)
    },
    tenantChanged: (tenant, reached) => standings.changed(ofTenant(tenant), reached),
    factorsChanged: (userId, reached) => factors.changed(userId, reached),
  }
}

const partsOf = (name: string): [tenant: string, userId: string] => {
  const slash = name.indexOf('/')
  return [name.slice(0, slash), name.slice(slash + 1)]
}
