import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'
import { keyedDigest, login, sessionId, sessionStart, tenantId, timeMs, userId } from './model.ts'

/**
 * `device_grant:omium/<id>`: a program without a browser asks for a session, a person lets it in (RFC 8628). Both codes are on
 * the log as keyed digests. Whoever asked is described under a key that takes the person's code to make.
 */

/** JWE, compact */
const sealedAsker = z
  .string()
  .max(2000)
  .regex(/^[A-Za-z0-9_.-]+$/)

export const deviceGrant = z.object({
  /** digest of what the program holds */
  device: keyedDigest,
  /** digest of what the person types */
  code: keyedDigest,
  asker: sealedAsker,
  expiresAt: timeMs,
})

const approval = z.object({
  userId,
  /** the session in which the person let it in */
  approvedBy: sessionId,
  /** that the session begins in */
  tenant: tenantId,
  /** how the person who lets it in had proven who they are */
  login,
  amr: sessionStart.shape.amr,
  authenticatedAt: timeMs,
})

export const deviceGrantEvents = {
  DeviceGrantRequested: v1(deviceGrant),
  DeviceGrantApproved: v1(approval),
  DeviceGrantDenied: v1(z.object({ userId })),
  /** the program got its session; nothing follows */
  DeviceGrantRedeemed: v1(z.object({ sessionId, at: timeMs })),
  /** nobody used it in time; nothing follows */
  DeviceGrantExpired: v1(z.object({})),
} as const
export type DeviceGrantEvent = RecordOf<typeof deviceGrantEvents>

export const deviceGrantCommands = {
  RequestDeviceGrant: v1(deviceGrant),
  ApproveDeviceGrant: v1(approval.extend({ code: keyedDigest })),
  DenyDeviceGrant: v1(z.object({ userId, code: keyedDigest })),
  /** once, ever */
  RedeemDeviceGrant: v1(z.object({ device: keyedDigest, sessionId })),
} as const
export type DeviceGrantCommand = RecordOf<typeof deviceGrantCommands>
