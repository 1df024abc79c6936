import type { FactorKind } from '@omium/schemas'
import { OmiumError } from '@omium/schemas'
import type { SessionCaller } from './caller.ts'

/**
 * Whether what a person proved is enough.
 *
 * 1. Where a tenant demands a second factor, nobody acts in it without: who has none enrols first, who has one proves it.
 * 2. What is sensitive needs a proof of the last ten minutes: by a second factor where they have one, else by a sign-in.
 * 3. Only factors of this platform count (`mfaAt`). What an identity provider says about its own (`amr`) is for people to read.
 */

/** how long a proof is good for what is sensitive */
export const freshProofMs = 10 * 60_000

type Proofs = Pick<SessionCaller, 'authenticatedAt' | 'mfaAt'>

/** @param factors kinds of their second factors */
export const hasFreshProof = (
  { authenticatedAt, mfaAt }: Proofs,
  factors: readonly FactorKind[],
  nowMs: number,
): boolean => {
  const provedAt = factors.length > 0 ? mfaAt : Math.max(authenticatedAt, mfaAt ?? 0)
  return provedAt !== undefined && nowMs - provedAt <= freshProofMs
}

/** @throws OmiumError `step_up_required`, whose data say what is accepted (`accepts`) */
export const requireFreshProof = (proofs: Proofs, factors: readonly FactorKind[], nowMs: number): void => {
  if (!hasFreshProof(proofs, factors, nowMs)) throw stepUp(factors, 'within the last ten minutes')
}

/** @throws OmiumError `mfa_enrolment_required`, `step_up_required` */
export const requireDemandedFactor = ({ mfaAt }: Proofs, factors: readonly FactorKind[]): void => {
  if (factors.length === 0)
    throw new OmiumError('mfa_enrolment_required', 'this tenant demands a second factor: add one at /auth/factors')
  if (mfaAt === undefined) throw stepUp(factors, 'in this session')
}

const stepUp = (factors: readonly FactorKind[], when: string): OmiumError =>
  factors.length > 0
    ? new OmiumError('step_up_required', `prove a second factor ${when}: /auth/mfa`, {
        data: { accepts: [...factors, 'recovery_code'] },
      })
    : new OmiumError('step_up_required', `prove who you are ${when}: /auth/sign-in?fresh=true`, {
        data: { accepts: ['sign_in'] },
      })
