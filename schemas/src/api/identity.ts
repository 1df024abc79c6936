import { z } from 'zod'
import { accessHours } from '../identity/hours.ts'
import { cidrRanges, emailAddress, keyEnvironment, keyScopes, permission, role } from '../identity/model.ts'
import { callerId } from '../ids.ts'
import { logPosition } from './executions.ts'

/** Tenants, members, invitations and API keys over HTTP. */

const time = z.iso.datetime()
const named = z.string().trim().min(1).max(200)
const receipt = z.object({ position: logPosition, deduplicated: z.boolean() })
export const identityReceipt = receipt.extend({ id: z.string() })

/** Who asks, as the platform sees them. */
export const callerView = z.object({
  tenant: z.string(),
  /** `key:<id>` or `user:<id>` */
  actor: z.string(),
  role: role.optional(),
  permissions: z.array(permission),
  /** a key that reaches no other runs */
  limits: z.object({ workflows: z.array(z.string()), agents: z.array(z.string()) }).optional(),
})
export type CallerView = z.infer<typeof callerView>

export const apiKeyView = z.object({
  id: z.string(),
  name: z.string(),
  environment: keyEnvironment,
  /** its readable beginning */
  prefix: z.string(),
  status: z.enum(['live', 'expired', 'revoked']),
  scopes: keyScopes,
  ranges: z.array(z.string()),
  /** when it may be used; empty: at any time */
  hours: accessHours,
  createdBy: z.string(),
  createdAt: time,
  /** its own, or the end of the overlap with its successor */
  expiresAt: time.optional(),
  /** as coarse as a minute */
  lastUsedAt: time.optional(),
  replaces: z.string().optional(),
  successor: z.string().optional(),
})
export type ApiKeyView = z.infer<typeof apiKeyView>

export const createApiKeyBody = z.strictObject({
  name: named,
  /** nobody can give more than they have */
  scopes: keyScopes,
  expiresAt: time.optional(),
  /** addresses that it may be used from; absent: any */
  ranges: cidrRanges.optional(),
  /** when it may be used; absent: at any time */
  hours: accessHours.optional(),
})

export const createdApiKey = receipt.extend({
  id: z.string(),
  prefix: z.string(),
  /** shown this once: the platform does not keep it */
  key: z.string(),
})

export const longestOverlapMs = 30 * 86_400_000
export const rotateApiKeyBody = z.strictObject({
  /** how long the old key goes on, ms */
  overlapMs: z.int().min(0).max(longestOverlapMs).default(86_400_000),
  expiresAt: time.optional(),
})
export const revokeApiKeyBody = z.strictObject({ reason: z.string().max(500).optional() })

export const verifyApiKeyBody = z.strictObject({ key: z.string().min(1).max(200) })
/** Of this tenant's live keys only; whatever else is sent is not valid, and that is all that is told. */
export const verifiedApiKey = z.object({
  valid: z.boolean(),
  id: z.string().optional(),
  scopes: keyScopes.optional(),
})

export const tenantView = z.object({
  id: z.string(),
  name: z.string(),
  /** addresses that its people and keys may come from; empty: any */
  ranges: z.array(z.string()),
  /** when its people and keys may use it; empty: at any time */
  hours: accessHours,
  /** its people need a second factor to act in it */
  mfaRequired: z.boolean(),
  foundedAt: time,
})
export type TenantView = z.infer<typeof tenantView>
export const foundTenantBody = z.strictObject({ name: named })
export const changeTenantBody = z
  .strictObject({
    name: named.optional(),
    ranges: cidrRanges.optional(),
    hours: accessHours.optional(),
    mfaRequired: z.boolean().optional(),
  })
  .refine((body) => Object.values(body).filter((one) => one !== undefined).length === 1, 'change one thing at a time')

export const memberView = z.object({
  userId: z.string(),
  role,
  since: time,
  /** absent when the person was erased */
  email: z.string().optional(),
  name: z.string().optional(),
})
export type MemberView = z.infer<typeof memberView>
export const changeMemberBody = z.strictObject({ role })

export const invitationView = z.object({
  id: z.string(),
  email: z.string().optional(),
  role,
  status: z.enum(['open', 'expired']),
  invitedBy: z.string(),
  invitedAt: time,
  expiresAt: time,
})
export type InvitationView = z.infer<typeof invitationView>
export const inviteBody = z.strictObject({ email: emailAddress, role })

/** An invitation to whoever asks, of whichever tenant. */
export const receivedInvitation = z.object({
  id: z.string(),
  tenant: z.string(),
  tenantName: z.string(),
  role,
  expiresAt: time,
})
export type ReceivedInvitation = z.infer<typeof receivedInvitation>

export const userIdParam = z.object({ userId: callerId })
export const invitationParam = z.object({ id: callerId })
/** the invited user is no member of this tenant yet, so it is named */
export const receivedInvitationParam = z.object({ tenant: callerId, id: callerId })
