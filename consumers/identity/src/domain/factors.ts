import { challengeMs, type FactorKind, type FactorProof, type UserCommand, type UserEvent } from '@omium/schemas'
import { type Decision, decided, refused } from './decision.ts'
import { held } from './held.ts'

/**
 * Second factors of a user.
 *
 * 1. A factor comes with its first proof; there is none that was never proved.
 * 2. Each proof counts once: the code of a step not after the last one, a challenge that was answered and a recovery code that
 *    was used are refused, in whichever process they are shown.
 * 3. A counter of signatures that does not go forward is refused and recorded: there may be a copy of the key.
 * 4. Recovery codes come with the first factor and go with the last.
 * 5. What is held is bounded: factors by `mostFactors`, challenges by how long they can be answered.
 */
export interface Factors {
  readonly byId: Record<string, Factor>
  /** by digest: whether it was used */
  recoveryCodes: Record<string, boolean>
  /** answered challenges, and when they were */
  readonly challenges: Record<string, number>
}

interface Factor {
  readonly kind: FactorKind
  /** sealed */
  readonly label: string
  /** the last step whose code was shown */
  step: number
  signCount: number
}

export const mostFactors = 10
/** challenges are issued by other clocks: remembered for twice as long as they live */
const rememberChallengeMs = 2 * challengeMs

export const noFactors = (): Factors => ({ byId: {}, recoveryCodes: {}, challenges: {} })

export const hasFactors = ({ byId }: Factors): boolean => Object.keys(byId).length > 0

type FactorEvent = Extract<
  UserEvent,
  { type: 'FactorAdded' | 'FactorUsed' | 'FactorRemoved' | 'RecoveryCodesIssued' | 'RecoveryCodeUsed' }
>

/** Changes the factors that it is given. */
export const evolveFactors = (factors: Factors, { type, data }: FactorEvent): void => {
  switch (type) {
    case 'FactorAdded': {
      const { kind, label, step = 0, signCount = 0 } = data
      factors.byId[data.factorId] = { kind, label, step, signCount }
      noteChallenge(factors, data.challenge, data.at)
      break
    }
    case 'FactorUsed': {
      const factor = factors.byId[data.factorId]
      if (factor && data.step !== undefined) factor.step = data.step
      if (factor && data.signCount !== undefined) factor.signCount = data.signCount
      noteChallenge(factors, data.challenge, data.at)
      break
    }
    case 'FactorRemoved':
      delete factors.byId[data.factorId]
      if (!hasFactors(factors)) factors.recoveryCodes = {}
      break
    case 'RecoveryCodesIssued':
      factors.recoveryCodes = Object.fromEntries(data.codes.map((code) => [code, false]))
      break
    case 'RecoveryCodeUsed':
      factors.recoveryCodes[data.code] = true
      break
  }
}

const noteChallenge = ({ challenges }: Factors, challenge: string | undefined, at: number): void => {
  for (const [old, answeredAt] of Object.entries(challenges))
    if (at - answeredAt > rememberChallengeMs) delete challenges[old]
  if (challenge !== undefined) challenges[challenge] = at
}

/** What becomes of a proof that holds, shown in a session: the event of its use, or why it does not count. */
export const decideProof = (
  factors: Factors,
  proof: FactorProof,
  { sessionId, at }: { readonly sessionId: string; readonly at: number },
): Decision<UserEvent> => {
  if (proof.kind === 'recovery_code') {
    const { code } = proof
    const wasUsed = held(factors.recoveryCodes, code)
    if (wasUsed === undefined) return refused('factor_refused', 'this is none of your recovery codes')
    if (wasUsed) return used('this recovery code was used before: take another one')
    return decided({ type: 'RecoveryCodeUsed', data: { code, sessionId, at } })
  }
  const { factorId } = proof
  const factor = held(factors.byId, factorId)
  if (!factor || (proof.kind === 'totp') !== (factor.kind === 'totp'))
    return refused('factor_unknown', `there is no second factor ${factorId}`)
  if (proof.kind === 'totp') {
    const { step } = proof
    if (step <= factor.step) return used('this code was used before: wait for the next one')
    return decided({ type: 'FactorUsed', data: { factorId, sessionId, step, at } })
  }
  const { challenge, signCount } = proof
  if (factors.challenges[challenge] !== undefined) return used('this was answered before: begin again')
  // both zero: the authenticator does not count (WebAuthn, 7.2 step 22)
  if ((signCount > 0 || factor.signCount > 0) && signCount <= factor.signCount)
    return refused('authenticator_suspect', 'the counter of this security key went back: it may have been copied', {
      type: 'FactorSuspected',
      data: { factorId, signCount, was: factor.signCount },
    })
  return decided({ type: 'FactorUsed', data: { factorId, sessionId, challenge, signCount, at } })
}

const used = (detail: string) => refused<UserEvent>('factor_proof_used', detail)

type Add = Extract<UserCommand, { type: 'AddFactor' }>['data']

export const addFactor = (
  factors: Factors,
  { factorId, kind, label, material, proof, recoveryCodes }: Add,
  { by, at }: { readonly by: string; readonly at: number },
): Decision<UserEvent> => {
  const first = !hasFactors(factors)
  if (held(factors.byId, factorId)) return refused('identity_conflict', `there is a second factor ${factorId}`)
  if (Object.keys(factors.byId).length >= mostFactors)
    return refused('identity_conflict', `a user has at most ${mostFactors} second factors`)
  if (first !== (recoveryCodes !== undefined))
    return refused('identity_conflict', 'another second factor was added or removed at this moment: begin again')
  if (proof.kind === 'recovery_code' || (proof.kind === 'totp') !== (kind === 'totp'))
    return refused('invalid_request', `this is no proof of a factor of the kind ${kind}`)
  if (proof.kind === 'webauthn' && factors.challenges[proof.challenge] !== undefined)
    return used('this was answered before: begin again')
  const shown =
    proof.kind === 'totp' ? { step: proof.step } : { challenge: proof.challenge, signCount: proof.signCount }
  const added: UserEvent = { type: 'FactorAdded', data: { factorId, kind, label, material, ...shown, at, by } }
  if (!recoveryCodes) return decided(added)
  return decided<UserEvent>(added, { type: 'RecoveryCodesIssued', data: { codes: recoveryCodes, by } })
}

type Remove = Extract<UserCommand, { type: 'RemoveFactor' }>['data']

export const removeFactor = (factors: Factors, { factorId, keepOne }: Remove, by: string): Decision<UserEvent> => {
  if (!held(factors.byId, factorId)) return refused('factor_unknown', `there is no second factor ${factorId}`)
  if (keepOne && Object.keys(factors.byId).length === 1)
    return refused('last_factor', 'a tenant of yours demands a second factor: add another one first')
  return decided({ type: 'FactorRemoved', data: { factorId, by } })
}
