import { isIP } from 'node:net'
import { OmiumError } from '@omium/schemas'
import {
  type AuthenticationResponseJSON,
  type AuthenticatorTransport,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server'
import { z } from 'zod'

/**
 * Security keys and passkeys (WebAuthn).
 *
 * 1. A signature counts for this origin, this site and the challenge that was given out, and for nothing else.
 * 2. Passkeys verify their user (a PIN, a finger), so they are two factors in one; security keys need not.
 * 3. Which counter of signatures came last, and whether a challenge was answered before, is for the log to say: each process
 *    that looked by itself would see only its own.
 */
export const credential = z.object({
  id: z.string(),
  publicKey: z.string(),
  transports: z.array(z.string()).optional(),
  /** it is on one device only, as far as that says so */
  singleDevice: z.boolean(),
})
export type Credential = z.infer<typeof credential>
export type WebAuthnKind = 'security_key' | 'passkey'

interface Asserted {
  readonly signCount: number
  readonly userVerified: boolean
}

export interface WebAuthn {
  /** what a browser makes a credential from */
  registration(
    user: { readonly id: string; readonly email: string },
    kind: WebAuthnKind,
    known: readonly Credential[],
  ): Promise<PublicKeyCredentialCreationOptionsJSON>
  /** @throws OmiumError `factor_refused` */
  register(response: unknown, challenge: string, kind: WebAuthnKind): Promise<Credential & Pick<Asserted, 'signCount'>>
  /** what a browser asks an authenticator with; `known` empty: for whichever passkey it has */
  assertion(known: readonly Credential[]): Promise<PublicKeyCredentialRequestOptionsJSON>
  /** @throws OmiumError `factor_refused` */
  assert(response: Assertion, challenge: string, known: Credential, verifyUser: boolean): Promise<Asserted>
}

/** As far as it is read before it is verified. */
export const assertion = z.looseObject({
  id: z.string().max(2000),
  response: z.looseObject({ userHandle: z.string().max(200).nullish() }),
})
export type Assertion = z.infer<typeof assertion>

const refusal = (cause?: unknown): OmiumError =>
  new OmiumError('factor_refused', 'what the security key or passkey answered does not hold: try again', { cause })

/** Whatever is wrong with an answer is the same refusal: nobody learns from it what to forge. */
const verified = async <T>(verify: () => Promise<T>): Promise<T> => {
  try {
    return await verify()
  } catch (cause) {
    throw refusal(cause)
  }
}

const transportsOf = ({ transports }: Credential) =>
  transports ? { transports: transports as AuthenticatorTransport[] } : {}

/** undefined: browsers know no credentials for addresses that are no names */
export const createWebAuthn = (publicUrl: string): WebAuthn | undefined => {
  const { origin, hostname } = new URL(publicUrl)
  if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) return undefined
  const expected = { expectedOrigin: origin, expectedRPID: hostname }
  return {
    registration: ({ id, email }, kind, known) =>
      generateRegistrationOptions({
        rpName: 'Omium',
        rpID: hostname,
        userName: email,
        userID: new TextEncoder().encode(id),
        excludeCredentials: known.map((one) => ({ id: one.id, ...transportsOf(one) })),
        authenticatorSelection:
          kind === 'passkey'
            ? { residentKey: 'required', userVerification: 'required' }
            : { residentKey: 'discouraged', userVerification: 'discouraged' },
        supportedAlgorithmIDs: [-8, -7, -257],
      }),
    register: (response, challenge, kind) =>
      verified(async () => {
        const { verified: holds, registrationInfo } = await verifyRegistrationResponse({
          response: response as RegistrationResponseJSON,
          expectedChallenge: challenge,
          ...expected,
          requireUserVerification: kind === 'passkey',
        })
        if (!holds || !registrationInfo) throw new RangeError('it is not verified')
        const { credential: made, credentialDeviceType } = registrationInfo
        return {
          id: made.id,
          publicKey: Buffer.from(made.publicKey).toString('base64url'),
          ...(made.transports && { transports: [...made.transports] }),
          singleDevice: credentialDeviceType === 'singleDevice',
          signCount: made.counter,
        }
      }),
    assertion: (known) =>
      generateAuthenticationOptions({
        rpID: hostname,
        userVerification: known.length === 0 ? 'required' : 'preferred',
        allowCredentials: known.map((one) => ({ id: one.id, ...transportsOf(one) })),
      }),
    assert: (response, challenge, known, verifyUser) =>
      verified(async () => {
        const { verified: holds, authenticationInfo } = await verifyAuthenticationResponse({
          response: response as unknown as AuthenticationResponseJSON,
          expectedChallenge: challenge,
          ...expected,
          credential: {
            id: known.id,
            publicKey: new Uint8Array(Buffer.from(known.publicKey, 'base64url')),
            // the log compares it with the last one
            counter: 0,
            ...transportsOf(known),
          },
          requireUserVerification: verifyUser,
        })
        if (!holds) throw new RangeError('the signature does not hold')
        return { signCount: authenticationInfo.newCounter, userVerified: authenticationInfo.userVerified }
      }),
  }
}
