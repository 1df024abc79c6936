import { z } from 'zod'
import { emailAddress, role } from '../identity/model.ts'
import { callerId } from '../ids.ts'
import { identityReceipt } from './identity.ts'

/** Personal data over HTTP: what there is of a person, and its end. */

const time = z.iso.datetime()

export const createErasureBody = z
  .strictObject({ userId: callerId.optional(), email: emailAddress.optional() })
  .refine(({ userId, email }) => (userId === undefined) !== (email === undefined), 'name either a user or an address')

export const erasureView = z.object({
  id: z.string(),
  /** `completed`: nothing is left that could be opened */
  status: z.enum(['erasing', 'completed']),
  requestedBy: z.string(),
  requestedAt: time,
  completedAt: time.optional(),
  /** what has ended by it */
  memberships: z.int(),
  invitations: z.int(),
})
export type ErasureView = z.infer<typeof erasureView>

export const erasureParam = z.object({ id: callerId })
export const erasureReceipt = identityReceipt

/** Everything that the platform holds of the person who asks, beside what their tenants hold. */
export const personalDataView = z.object({
  userId: z.string(),
  email: z.string().optional(),
  name: z.string().optional(),
  registeredAt: time,
  logins: z.array(z.object({ method: z.string(), issuer: z.string(), linkedAt: time })),
  memberships: z.array(z.object({ tenant: z.string(), name: z.string(), role })),
  invitations: z.array(z.object({ id: z.string(), tenant: z.string(), tenantName: z.string(), role, expiresAt: time })),
  sessions: z.array(
    z.object({
      sessionId: z.string(),
      tenant: z.string(),
      client: z.enum(['browser', 'cli']),
      method: z.string(),
      startedAt: time,
      refreshedAt: time,
      expiresAt: time,
    }),
  ),
})
