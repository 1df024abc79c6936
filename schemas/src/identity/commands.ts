import { z } from 'zod'
import { type ContextDefinition, type RecordOf, v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { deviceGrantCommands } from './device.ts'
import { identityContextEvents } from './events.ts'
import { factorCommands, factorProof, mfaPolicyCommands } from './factors.ts'
import { hoursCommands } from './hours.ts'
import {
  cidrRanges,
  invitation,
  invitationId,
  issuedApiKey,
  issuedMagicLink,
  keyedDigest,
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
import { securityNoticeCommands } from './notices.ts'
import { tenantPrivacyCommands, userPrivacyCommands } from './privacy.ts'
import { domainCommands, ssoConnectionCommands, ssoTenantCommands } from './sso.ts'

/**
 * Commands to the identity context. Time that decides something (expiry, grace) is the owner's clock, never the caller's.
 * `AddressClaimed` of another user is an answer, not an error: the caller goes on with the user that has it.
 */
export const addressCommands = {
  ClaimAddress: v1(z.object({ userId })),
  ReleaseAddress: v1(z.object({ userId, why: z.enum(['changed', 'erased']) })),
} as const
export type AddressCommand = RecordOf<typeof addressCommands>

export const userCommands = {
  ...factorCommands,
  ...securityNoticeCommands,
  /** known already: nothing happens but that the login is linked */
  RegisterUser: v1(registration),
  UnlinkLogin: v1(z.object({ login })),
  RenameUser: v1(z.object({ name: sealedText })),
  /** `proof`: of who has second factors, unless `approvedBy` is a session that has seen one */
  StartSession: v1(sessionStart.extend({ proof: factorProof.optional(), approvedBy: sessionId.optional() })),
  /** with the generation of the token that was shown; its signature has been checked. Once accepted, the next one is current */
  RefreshSession: v1(z.object({ sessionId, generation: z.number().int().nonnegative() })),
  SwitchTenant: v1(z.object({ sessionId, tenant: tenantId })),
  EndSession: v1(z.object({ sessionId, why: sessionEnd })),
  /** all of them, or those that act in one tenant */
  EndSessions: v1(z.object({ tenant: tenantId.optional(), except: sessionId.optional(), why: sessionEnd })),
  ...userPrivacyCommands,
} as const
export type UserCommand = RecordOf<typeof userCommands>

export const tenantCommands = {
  ...mfaPolicyCommands,
  /** the same again is nothing new */
  FoundTenant: v1(z.object({ name: tenantName, owner: userId.optional() })),
  RenameTenant: v1(z.object({ name: tenantName })),
  InviteMember: v1(invitation),
  RevokeInvitation: v1(z.object({ invitationId })),
  /** only with the address that was invited */
  AcceptInvitation: v1(z.object({ invitationId, userId, address: keyedDigest })),
  ChangeMemberRole: v1(z.object({ userId, role })),
  /** the last owner stays */
  RemoveMember: v1(z.object({ userId, why: memberRemoval })),
  AllowAddresses: v1(z.object({ ranges: cidrRanges })),
  ...hoursCommands,
  ...ssoTenantCommands,
  ...tenantPrivacyCommands,
} as const
export type TenantCommand = RecordOf<typeof tenantCommands>

export const apiKeyCommands = {
  IssueApiKey: v1(issuedApiKey),
  /** the old one goes on until then */
  ReplaceApiKey: v1(z.object({ successor: callerId, until: timeMs })),
  RevokeApiKey: v1(z.object({ reason: z.string().max(500).optional() })),
} as const
export type ApiKeyCommand = RecordOf<typeof apiKeyCommands>

export const magicLinkCommands = {
  IssueMagicLink: v1(issuedMagicLink),
  UseMagicLink: v1(z.object({ secret: keyedDigest, browser: keyedDigest })),
} as const
export type MagicLinkCommand = RecordOf<typeof magicLinkCommands>

export const identityContextCommands = {
  ...addressCommands,
  ...userCommands,
  ...tenantCommands,
  ...apiKeyCommands,
  ...magicLinkCommands,
  ...deviceGrantCommands,
  ...ssoConnectionCommands,
  ...domainCommands,
} as const
export type IdentityContextCommand = RecordOf<typeof identityContextCommands>

export const identityContext = {
  name: 'identity',
  commands: identityContextCommands,
  events: identityContextEvents,
} as const satisfies ContextDefinition
