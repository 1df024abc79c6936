import { z } from 'zod'
import { v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { hashJson } from '../json.ts'
import { keyedDigest, tenantId, userId } from './model.ts'

/**
 * Erasure. A person is erased as a whole (`user:omium/<id>`: the keys of their personal data are destroyed, what they are a
 * member of is told), or from one tenant (`tenant:<id>/<id>`: what the tenant holds of them ends, the person stays).
 */
const erasureId = callerId

/**
 * The subject of what a tenant holds of an address by itself: it can be destroyed without what others hold. Who erases the
 * address erases this with it.
 */
export const heldSubject = (address: string, tenant: string): string => `${address}-${hashJson([tenant]).slice(0, 32)}`

/** What a tenant may know somebody by; one of the two at least. */
const whom = { userId: userId.optional(), address: keyedDigest.optional() }

export const userPrivacyCommands = {
  EraseUser: v1(z.object({})),
  /** from the tenant that they have become a member of */
  NoteMembership: v1(z.object({ tenant: tenantId })),
} as const

export const userPrivacyEvents = {
  /** nothing opens for them any more; the keys of their personal data are to be destroyed */
  UserErased: v1(z.object({ by: z.string().max(300) })),
  /** the keys are gone, the address is free */
  ErasureCompleted: v1(z.object({})),
  MembershipNoted: v1(z.object({ tenant: tenantId })),
  /** the end of an erased user's membership is on the log */
  MembershipWithdrawn: v1(z.object({ tenant: tenantId })),
} as const

export const tenantPrivacyCommands = {
  EraseMember: v1(z.object({ erasureId, ...whom })),
} as const

export const tenantPrivacyEvents = {
  /** their user has been told of the membership */
  MemberAdditionReported: v1(z.object({ userId })),
  /** comes after the ends of what there was; the tenant's own key of the address is to be destroyed */
  MemberErased: v1(
    z.object({
      erasureId,
      ...whom,
      memberships: z.number().int().nonnegative(),
      invitations: z.number().int().nonnegative(),
      by: z.string().max(300),
    }),
  ),
  /** the key is gone */
  MemberErasureCompleted: v1(z.object({ erasureId })),
} as const

export const magicLinkExpiry = {
  /** its time was over before anybody used it */
  MagicLinkExpired: v1(z.object({})),
} as const
