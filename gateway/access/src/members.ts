import { factorKindsOf, type Membership, membershipIn } from '@omium/projection-identity'
import type { Reads } from '@omium/projection-kit'
import { type FactorKind, OmiumError, rolePermissions } from '@omium/schemas'
import type { Caller, SessionCaller } from './caller.ts'
import { inHours } from './hours.ts'
import { inRanges } from './ranges.ts'
import { remember } from './remembered.ts'
import { requireDemandedFactor, requireFreshProof } from './step-up.ts'

/**
 * What a person may do in the tenant of their session: their role there, asked for and remembered for a few seconds. Who is
 * no member (any more) is known and may do nothing. Whether what they proved is enough for it: step-up.ts.
 */
export interface Members {
  /**
   * @throws OmiumError `forbidden` from an address that the tenant does not allow, `outside_hours`; `mfa_enrolment_required` and
   *   `step_up_required` where it demands a second factor
   */
  callerFor(session: SessionCaller, address: string): Promise<Caller>
  /** For what is sensitive. @throws OmiumError `step_up_required` */
  requireFreshProof(session: SessionCaller): Promise<void>
  /** A role changed or somebody was removed, as the log says. */
  changed(tenant: string, userId: string): void
  /** What holds for all members of a tenant changed, as the log says. */
  tenantChanged(tenant: string): void
  /** A second factor was added or removed, as the log says. */
  factorsChanged(userId: string): void
}

export interface MemberOptions {
  readonly reads: Reads
  readonly nowMs: () => number
  readonly cacheMs?: number
}

const outageMs = 5 * 60_000

export const createMembers = ({ reads, nowMs, cacheMs = 3_000 }: MemberOptions): Members => {
  const memberships = remember<Membership | undefined>({
    ask: (name) => {
      const slash = name.indexOf('/')
      return membershipIn(reads, name.slice(0, slash), name.slice(slash + 1))
    },
    outlasts: (membership) => membership !== undefined,
    nowMs,
    cacheMs,
    outageMs,
  })
  const factors = remember<readonly FactorKind[]>({
    ask: (userId) => factorKindsOf(reads, userId),
    outlasts: () => true,
    nowMs,
    cacheMs,
    outageMs,
  })
  return {
    callerFor: async (session, address) => {
      const { tenant, userId } = session
      const membership = await memberships.get(`${tenant}/${userId}`)
      if (membership && !inRanges(membership.ranges, address))
        throw new OmiumError('forbidden', 'this tenant may not be used from this address')
      if (membership && !inHours(membership.hours, nowMs()))
        throw new OmiumError('outside_hours', 'this tenant may not be used at this time')
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
    changed: (tenant, userId) => memberships.forget(`${tenant}/${userId}`),
    tenantChanged: (tenant) => memberships.forgetWhere((name) => name.startsWith(`${tenant}/`)),
    factorsChanged: (userId) => factors.forget(userId),
  }
}
