import type { SessionCaller } from '@omium/access'
import type { PersonalData } from '@omium/personal-data'
import type { FactorRecord } from '@omium/projection-identity'
import { type FactorKind, type FactorProof, OmiumError } from '@omium/schemas'
import { userKey } from '../accounts.ts'
import type { AttemptLimits, IdentityCommands, IdentityReads } from '../ports.ts'
import type { Sessions, Tokens } from '../sessions.ts'
import { newRecoveryCodes, normalizedRecoveryCode } from './recovery-codes.ts'
import { totpStep } from './totp.ts'
import { type Assertion, type Credential, credential, type WebAuthn } from './webauthn.ts'

/**
 * Second factors of people: what they have, and whether what they show proves one.
 *
 * 1. What a factor is proved with leaves the platform once, when it is added: the secret to the app, the codes to paper.
 * 2. A proof that holds here still has to count on the log, which takes each once.
 * 3. Codes can be guessed, so tries are counted for each user, wherever they come from.
 */
export interface FactorView {
  readonly id: string
  readonly kind: FactorKind
  readonly label: string
  readonly addedAt: Date
  readonly usedAt: Date | null
  readonly suspectedAt: Date | null
}

/** A proof, and what to say about it (RFC 8176). */
export interface Proved {
  readonly proof: FactorProof
  readonly amr: readonly string[]
}

/** What a new factor is proved with, now and later. */
export interface NewFactor extends Proved {
  readonly kind: FactorKind
  readonly label: string
  /** a TOTP secret, or a credential as JSON */
  readonly material: string
  readonly factorId: string
}

export interface SecondFactors {
  list(userId: string): Promise<readonly FactorView[]>
  kinds(userId: string): Promise<readonly FactorKind[]>
  recoveryCodesLeft(userId: string): Promise<number>
  credentials(userId: string): Promise<readonly Credential[]>
  /** @throws OmiumError `factor_refused`, `rate_limited` */
  codeProof(userId: string, typed: string): Promise<Proved>
  /** @throws OmiumError `factor_refused` */
  assertionProof(
    userId: string,
    response: Assertion,
    challenge: string,
    options: { readonly passkey: boolean },
  ): Promise<Proved>
  /** Tries of codes, for whoever checks one otherwise. @throws OmiumError `rate_limited` */
  countTry(userId: string): Promise<void>
  /** a challenge as the log knows it */
  challengeDigest(challenge: string): string
  /** @returns the session's new tokens, and recovery codes with the first factor */
  add(
    caller: SessionCaller,
    factor: NewFactor,
    correlationId: string,
  ): Promise<{ readonly tokens: Tokens; readonly recoveryCodes?: readonly string[] }>
  /** @throws OmiumError `factor_unknown`, `last_factor` */
  remove(caller: SessionCaller, factorId: string, correlationId: string): Promise<void>
  renewRecoveryCodes(caller: SessionCaller, correlationId: string): Promise<readonly string[]>
}

export interface SecondFactorsOptions {
  readonly identity: Pick<IdentityCommands, 'untilCurrent'>
  readonly reads: IdentityReads
  readonly sessions: Sessions
  readonly personalData: PersonalData
  readonly limits: AttemptLimits
  readonly webAuthn: WebAuthn | undefined
  readonly nowMs: () => number
}

/** ten codes out of a million, each good for three steps, and no more than a hundred a day */
const tries = [
  { attempts: 10, withinMs: 10 * 60_000 },
  { attempts: 100, withinMs: 86_400_000 },
]

export const createSecondFactors = (options: SecondFactorsOptions): SecondFactors => {
  const { identity, reads, sessions, personalData, limits, webAuthn, nowMs } = options

  const opened = async (sealed: string): Promise<string> => {
    const text = await personalData.open(sealed)
    if (text === undefined) throw new OmiumError('factor_unknown', 'this second factor was erased')
    return text
  }
  const credentialOf = async ({ material }: FactorRecord): Promise<Credential> =>
    credential.parse(JSON.parse(await opened(material)))
  const isKey = ({ kind }: FactorRecord): boolean => kind !== 'totp'

  const countTry = async (userId: string): Promise<void> => {
    for (const limit of tries) await limits.take(`factor:${limit.withinMs}:${userId}`, limit)
  }
  const codeDigest = (userId: string, code: string): string => personalData.digest('recovery-code', `${userId} ${code}`)
  const digestsOf = (userId: string, codes: readonly string[]): string[] =>
    codes.map((code) => codeDigest(userId, normalizedRecoveryCode(code) ?? code))
  const challengeDigest = (challenge: string): string => personalData.digest('webauthn-challenge', challenge)

  return {
    list: async (userId) => {
      // what was refused as suspect is told on the next page already
      await identity.untilCurrent(userKey(userId))
      return Promise.all(
        (await reads.factors(userId)).map(async ({ id, kind, label, addedAt, usedAt, suspectedAt }) => ({
          id,
          kind,
          label: await opened(label),
          addedAt,
          usedAt,
          suspectedAt,
        })),
      )
    },
    kinds: async (userId) => [...new Set((await reads.factors(userId)).map(({ kind }) => kind))],
    recoveryCodesLeft: async (userId) => (await reads.recoveryCodes(userId)).length,
    credentials: async (userId) => Promise.all((await reads.factors(userId)).filter(isKey).map(credentialOf)),
    countTry,
    challengeDigest,

    codeProof: async (userId, typed) => {
      await countTry(userId)
      const code = typed.replace(/\s/g, '')
      if (/^\d{6}$/.test(code)) {
        for (const { id, kind, material } of await reads.factors(userId)) {
          const step = kind === 'totp' ? totpStep(await opened(material), code, nowMs()) : undefined
          if (step !== undefined) return { proof: { kind: 'totp', factorId: id, step }, amr: ['otp', 'mfa'] }
        }
        throw new OmiumError('factor_refused', 'this code is wrong or too old: try the next one')
      }
      const recoveryCode = normalizedRecoveryCode(code)
      if (recoveryCode === undefined)
        throw new OmiumError('factor_refused', 'expected six digits of the app, or a recovery code')
      return { proof: { kind: 'recovery_code', code: codeDigest(userId, recoveryCode) }, amr: ['otp', 'mfa'] }
    },

    assertionProof: async (userId, response, challenge, { passkey }) => {
      const { userHandle } = response.response
      const own = userHandle === undefined || userHandle === null || userHandle === toBase64Url(userId)
      for (const record of own ? (await reads.factors(userId)).filter(isKey) : []) {
        const known = await credentialOf(record)
        if (known.id !== response.id || (passkey && record.kind !== 'passkey')) continue
        const { signCount, userVerified } = await requireWebAuthn(webAuthn).assert(response, challenge, known, passkey)
        return {
          proof: { kind: 'webauthn', factorId: record.id, challenge: challengeDigest(challenge), signCount },
          amr: [known.singleDevice ? 'hwk' : 'swk', ...(userVerified ? ['user'] : []), 'mfa'],
        }
      }
      throw new OmiumError('factor_refused', 'this security key or passkey is not known here for this user')
    },

    add: async (caller, { factorId, kind, label, material, proof, amr }, correlationId) => {
      const { userId, sessionId } = caller
      const recoveryCodes = (await reads.factors(userId)).length === 0 ? newRecoveryCodes() : undefined
      const [sealedLabel, sealedMaterial] = await Promise.all(
        [label, material].map((text) => personalData.seal(userId, text)),
      )
      const tokens = await sessions.change(
        caller,
        {
          type: 'AddFactor',
          data: {
            factorId,
            kind,
            label: sealedLabel as string,
            material: sealedMaterial as string,
            proof,
            sessionId,
            amr: together(caller.amr, amr),
            ...(recoveryCodes && { recoveryCodes: digestsOf(userId, recoveryCodes) }),
          },
        },
        correlationId,
      )
      return { tokens, ...(recoveryCodes && { recoveryCodes }) }
    },

    remove: async (caller, factorId, correlationId) => {
      const memberships = await reads.memberships(caller.userId)
      const keepOne = memberships.some(({ mfaRequired }) => mfaRequired)
      await sessions.change(caller, { type: 'RemoveFactor', data: { factorId, keepOne } }, correlationId)
    },

    renewRecoveryCodes: async (caller, correlationId) => {
      const codes = newRecoveryCodes()
      const data = { codes: digestsOf(caller.userId, codes) }
      await sessions.change(caller, { type: 'IssueRecoveryCodes', data }, correlationId)
      return codes
    },
  }
}

const toBase64Url = (text: string): string => Buffer.from(text).toString('base64url')

/** What was proved before and now, each once. */
export const together = (before: readonly string[], now: readonly string[]): string[] =>
  [...new Set([...before, ...now])].slice(0, 10)

/** @throws OmiumError `unavailable` where the installation has no name that browsers take */
export const requireWebAuthn = (webAuthn: WebAuthn | undefined): WebAuthn => {
  if (webAuthn) return webAuthn
  throw new OmiumError(
    'unavailable',
    'security keys and passkeys need an installation with a name: set OMIUM_URL to https://<name>, or http://localhost',
    { retryable: false },
  )
}
