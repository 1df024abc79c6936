import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { partitionEvents } from '../log/partition-events.ts'
import { factorEvents, mfaPolicyEvents } from './factors.ts'
import {
  cidrRanges,
  invitationId,
  keyEnvironment,
  keyedDigest,
  keyHash,
  keyScopes,
  login,
  memberRemoval,
  personalTenant,
  role,
  sealedText,
  sessionClient,
  sessionEnd,
  sessionId,
  tenantId,
  userId,
} from './model.ts'

const timeMs = z.number().int().nonnegative()
const by = z.string().max(300)

/** `address:omium/<digest>`: to whom an e-mail address belongs. The point that makes two first sign-ins one user. */
export const addressEvents = {
  AddressClaimed: v1(z.object({ userId })),
  AddressReleased: v1(z.object({ userId, why: z.enum(['changed', 'erased']) })),
} as const
export type AddressEvent = RecordOf<typeof addressEvents>

/**
 * `user:omium/<userId>`. The user and the first tenant come into being in one event. Sessions are part of their user, so that
 * ending all of them is one decision. Refresh tokens are not kept: the token of a generation is a keyed digest of session and
 * generation. A token of an older generation, after the grace in which a lost answer may be asked for again, ends the session.
 */
export const userEvents = {
  ...factorEvents,
  UserRegistered: v1(
    z.object({
      address: keyedDigest,
      email: sealedText,
      name: sealedText.optional(),
      login,
      /** founded with the user; absent when an invitation brought them */
      tenant: personalTenant.optional(),
    }),
  ),
  LoginLinked: v1(z.object({ login, by })),
  LoginUnlinked: v1(z.object({ login, by })),
  UserRenamed: v1(z.object({ name: sealedText })),
  /** the personal tenant's founding is on the log */
  PersonalTenantRequested: v1(z.object({})),
  SessionStarted: v1(
    z.object({
      sessionId,
      /** the tenant it acts in; switching is an event */
      tenant: tenantId,
      login,
      /** RFC 8176 */
      amr: z.array(z.string().max(40)).max(10),
      authenticatedAt: timeMs,
      expiresAt: timeMs,
      client: sessionClient,
      /** a second factor was proved for it */
      mfaAt: timeMs.optional(),
    }),
  ),
  SessionRefreshed: v1(z.object({ sessionId, generation: z.number().int().positive(), at: timeMs })),
  SessionSwitched: v1(z.object({ sessionId, tenant: tenantId })),
  SessionEnded: v1(z.object({ sessionId, why: sessionEnd, by })),
  /** nothing opens for them any more; the keys of their personal data are to be destroyed */
  UserErased: v1(z.object({ by })),
  /** the keys are gone, the address is free */
  ErasureCompleted: v1(z.object({})),
} as const
export type UserEvent = RecordOf<typeof userEvents>

/** `tenant:<tenant>/<tenant>`. */
export const tenantEvents = {
  ...mfaPolicyEvents,
  TenantFounded: v1(z.object({ name: z.string().min(1).max(200), owner: userId.optional(), by })),
  TenantRenamed: v1(z.object({ name: z.string().min(1).max(200), by })),
  MemberInvited: v1(z.object({ invitationId, address: keyedDigest, email: sealedText, role, expiresAt: timeMs, by })),
  InvitationRevoked: v1(z.object({ invitationId, by })),
  InvitationAccepted: v1(z.object({ invitationId, userId })),
  MemberAdded: v1(z.object({ userId, role, by })),
  MemberRoleChanged: v1(z.object({ userId, role, was: role, by })),
  MemberRemoved: v1(z.object({ userId, why: memberRemoval, by })),
  /** the end of their sessions in the tenant is on the log */
  MemberRemovalReported: v1(z.object({ userId })),
  /** CIDR ranges that people and keys of the tenant may come from; empty: anywhere */
  AddressesAllowed: v1(z.object({ ranges: cidrRanges, by })),
} as const
export type TenantEvent = RecordOf<typeof tenantEvents>

/** `api_key:<tenant>/<keyId>`. The key itself is shown once and is on no log. */
export const apiKeyEvents = {
  ApiKeyIssued: v1(
    z.object({
      name: z.string().min(1).max(200),
      environment: keyEnvironment,
      /** the key's readable beginning, by which a person recognises it */
      prefix: z.string().max(40),
      hash: keyHash,
      scopes: keyScopes,
      expiresAt: timeMs.optional(),
      /** CIDR ranges it may be used from */
      ranges: cidrRanges.optional(),
      /** the key that it replaces */
      replaces: callerId.optional(),
      by,
    }),
  ),
  /** it stops working at `until`: there is a successor */
  ApiKeyReplaced: v1(z.object({ successor: callerId, until: timeMs, by })),
  ApiKeyRevoked: v1(z.object({ by, reason: z.string().max(500).optional() })),
} as const
export type ApiKeyEvent = RecordOf<typeof apiKeyEvents>

/** `magic_link:omium/<id>`: a link opens once, in the browser that asked for it. */
export const magicLinkEvents = {
  MagicLinkIssued: v1(
    z.object({
      /** HMAC of the secret in the link */
      secret: keyedDigest,
      /** HMAC of the cookie of the browser that asked */
      browser: keyedDigest,
      expiresAt: timeMs,
    }),
  ),
  MagicLinkUsed: v1(z.object({ at: timeMs })),
} as const
export type MagicLinkEvent = RecordOf<typeof magicLinkEvents>

export const identityContextEvents = {
  ...partitionEvents,
  ...addressEvents,
  ...userEvents,
  ...tenantEvents,
  ...apiKeyEvents,
  ...magicLinkEvents,
} as const
export type IdentityContextEvent = RecordOf<typeof identityContextEvents>
