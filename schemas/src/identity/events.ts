import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { partitionEvents } from '../log/partition-events.ts'
import { deviceGrantEvents } from './device.ts'
import { factorEvents, mfaPolicyEvents } from './factors.ts'
import { hoursEvents } from './hours.ts'
import {
  cidrRanges,
  invitation,
  invitationId,
  issuedApiKey,
  issuedMagicLink,
  login,
  memberRemoval,
  registration,
  role,
  sealedText,
  sessionEnd,
  sessionId,
  sessionStart,
  tenantId,
  tenantName,
  timeMs,
  userId,
} from './model.ts'
import { securityNoticeEvents } from './notices.ts'
import { magicLinkExpiry, tenantPrivacyEvents, userPrivacyEvents } from './privacy.ts'
import { domainEvents, ssoConnectionEvents, ssoTenantEvents } from './sso.ts'

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
  ...securityNoticeEvents,
  UserRegistered: v1(registration),
  LoginLinked: v1(z.object({ login, by })),
  LoginUnlinked: v1(z.object({ login, by })),
  UserRenamed: v1(z.object({ name: sealedText })),
  /** the personal tenant's founding is on the log */
  PersonalTenantRequested: v1(z.object({})),
  /** `mfaAt`: a second factor was proved for it */
  SessionStarted: v1(sessionStart.extend({ mfaAt: timeMs.optional() })),
  SessionRefreshed: v1(z.object({ sessionId, generation: z.number().int().positive(), at: timeMs })),
  SessionSwitched: v1(z.object({ sessionId, tenant: tenantId })),
  SessionEnded: v1(z.object({ sessionId, why: sessionEnd, by })),
  ...userPrivacyEvents,
} as const
export type UserEvent = RecordOf<typeof userEvents>

/** `tenant:<tenant>/<tenant>`. */
export const tenantEvents = {
  ...mfaPolicyEvents,
  TenantFounded: v1(z.object({ name: tenantName, owner: userId.optional(), by })),
  TenantRenamed: v1(z.object({ name: tenantName, by })),
  MemberInvited: v1(invitation.extend({ by })),
  InvitationRevoked: v1(z.object({ invitationId, by })),
  InvitationAccepted: v1(z.object({ invitationId, userId })),
  MemberAdded: v1(z.object({ userId, role, by })),
  MemberRoleChanged: v1(z.object({ userId, role, was: role, by })),
  MemberRemoved: v1(z.object({ userId, why: memberRemoval, by })),
  /** the end of their sessions in the tenant is on the log */
  MemberRemovalReported: v1(z.object({ userId })),
  /** CIDR ranges that people and keys of the tenant may come from; empty: anywhere */
  AddressesAllowed: v1(z.object({ ranges: cidrRanges, by })),
  ...hoursEvents,
  ...ssoTenantEvents,
  ...tenantPrivacyEvents,
} as const
export type TenantEvent = RecordOf<typeof tenantEvents>

/** `api_key:<tenant>/<keyId>`. The key itself is shown once and is on no log. */
export const apiKeyEvents = {
  /** `notify`: the person who made it, who is to be told */
  ApiKeyIssued: v1(issuedApiKey.extend({ by, notify: userId.optional() })),
  /** telling them is on the log */
  ApiKeyReported: v1(z.object({})),
  /** it stops working at `until`: there is a successor */
  ApiKeyReplaced: v1(z.object({ successor: callerId, until: timeMs, by })),
  ApiKeyRevoked: v1(z.object({ by, reason: z.string().max(500).optional() })),
} as const
export type ApiKeyEvent = RecordOf<typeof apiKeyEvents>

/** `magic_link:omium/<id>`: a link opens once, in the browser that asked for it. */
export const magicLinkEvents = {
  MagicLinkIssued: v1(issuedMagicLink),
  MagicLinkUsed: v1(z.object({ at: timeMs })),
  ...magicLinkExpiry,
} as const
export type MagicLinkEvent = RecordOf<typeof magicLinkEvents>

export const identityContextEvents = {
  ...partitionEvents,
  ...addressEvents,
  ...userEvents,
  ...tenantEvents,
  ...apiKeyEvents,
  ...magicLinkEvents,
  ...deviceGrantEvents,
  ...ssoConnectionEvents,
  ...domainEvents,
} as const
export type IdentityContextEvent = RecordOf<typeof identityContextEvents>
