import { z } from 'zod'
import { v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { keyedDigest, sealedText, sessionId, sessionStart, timeMs } from './model.ts'

/**
 * Second factors and their proofs. They belong to their user's aggregate. What they are proved with (the secret of an
 * authenticator app, the public key of a credential) is sealed; recovery codes are keyed digests.
 */

export const factorKinds = ['totp', 'security_key', 'passkey'] as const
export const factorKind = z.enum(factorKinds)
export type FactorKind = z.infer<typeof factorKind>

export const factorId = callerId
export const recoveryCodeCount = 10

/** for how long what a browser was asked to sign may be answered */
export const challengeMs = 5 * 60_000

const by = z.string().max(300)
const { amr } = sessionStart.shape
/** number of the 30 seconds since 1970 (RFC 6238) whose code was shown */
const step = z.number().int().nonnegative()
/** as the authenticator counts its signatures; 0 where it does not */
const signCount = z.number().int().nonnegative()
/** of what was signed */
const challenge = keyedDigest

/** A proof that holds, as the gateway found out. Whether it counts (each does once) is decided on the log. */
export const factorProof = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('totp'), factorId, step }),
  z.object({ kind: z.literal('webauthn'), factorId, challenge, signCount }),
  z.object({ kind: z.literal('recovery_code'), code: keyedDigest }),
])
export type FactorProof = z.infer<typeof factorProof>

const recoveryCodes = z.array(keyedDigest).length(recoveryCodeCount)
const factor = { factorId, kind: factorKind, label: sealedText, material: sealedText }

export const factorCommands = {
  /** with its first proof; `recoveryCodes` comes with the first factor, and only with it */
  AddFactor: v1(z.object({ ...factor, proof: factorProof, sessionId, amr, recoveryCodes: recoveryCodes.optional() })),
  /** `keepOne`: a tenant of theirs demands a factor */
  RemoveFactor: v1(z.object({ factorId, keepOne: z.boolean() })),
  /** in place of those that there are */
  IssueRecoveryCodes: v1(z.object({ codes: recoveryCodes })),
  /** one more proof in a session */
  StepUpSession: v1(z.object({ sessionId, proof: factorProof, amr })),
} as const

export const factorEvents = {
  FactorAdded: v1(
    z.object({
      ...factor,
      step: step.optional(),
      signCount: signCount.optional(),
      challenge: challenge.optional(),
      at: timeMs,
      by,
    }),
  ),
  FactorUsed: v1(
    z.object({
      factorId,
      sessionId,
      step: step.optional(),
      signCount: signCount.optional(),
      challenge: challenge.optional(),
      at: timeMs,
    }),
  ),
  FactorRemoved: v1(z.object({ factorId, by })),
  /** its counter went back: there may be a copy of it. Refused */
  FactorSuspected: v1(z.object({ factorId, signCount, was: signCount })),
  RecoveryCodesIssued: v1(z.object({ codes: recoveryCodes, by })),
  RecoveryCodeUsed: v1(z.object({ code: keyedDigest, sessionId, at: timeMs })),
  /** a second factor was proved in it; `amr` is all that was proved so far (RFC 8176) */
  SessionSteppedUp: v1(z.object({ sessionId, amr, at: timeMs })),
} as const

export const mfaPolicyCommands = {
  /** its people need a second factor to act in it */
  RequireMfa: v1(z.object({ required: z.boolean() })),
} as const

export const mfaPolicyEvents = {
  MfaRequirementChanged: v1(z.object({ required: z.boolean(), by })),
} as const
