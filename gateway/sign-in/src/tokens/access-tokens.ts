import { randomUUID } from 'node:crypto'
import { callerId, OmiumError } from '@omium/schemas'
import { type CryptoKey, type JWTHeaderParameters, jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'
import { algorithm, type SigningKeys } from './signing-keys.ts'

/**
 * Access tokens: JWTs after RFC 9068. What they say is believed for five minutes at most and only together with the session's
 * state, so that whoever signs out or is removed is out at once.
 */
export const accessTokenMs = 5 * 60_000
export const audience = 'omium'
const type = 'at+jwt'

export interface AccessClaims {
  readonly userId: string
  readonly sessionId: string
  readonly tenant: string
  /** RFC 8176 */
  readonly amr: readonly string[]
  /** when they last proved who they are, ms */
  readonly authenticatedAt: number
  /** when they last proved a second factor, ms */
  readonly mfaAt?: number | undefined
  readonly client: 'browser' | 'cli'
}

export interface AccessTokens {
  mint(claims: AccessClaims): Promise<string>
  /** @throws OmiumError `unauthenticated` for whatever is not a live token of this installation; the detail never quotes it */
  verify(token: string): Promise<AccessClaims>
}

const claimsSchema = z.object({
  sub: callerId,
  sid: callerId,
  tenant: callerId,
  amr: z.array(z.string()),
  auth_time: z.number().int(),
  mfa_time: z.number().int().optional(),
  client_id: z.enum(['browser', 'cli']),
})

export const createAccessTokens = (issuer: string, keys: SigningKeys, nowMs: () => number): AccessTokens => {
  const keyOf = async ({ kid }: JWTHeaderParameters): Promise<CryptoKey> => {
    const key = kid === undefined ? undefined : await keys.verifying(kid)
    if (!key) throw new RangeError('no such key')
    return key
  }
  return {
    mint: async ({ userId, sessionId, tenant, amr, authenticatedAt, mfaAt, client }) => {
      const { kid, privateKey } = await keys.signing()
      const now = nowMs()
      return new SignJWT({
        sid: sessionId,
        tenant,
        amr: [...amr],
        auth_time: Math.floor(authenticatedAt / 1000),
        ...(mfaAt !== undefined && { mfa_time: Math.floor(mfaAt / 1000) }),
        client_id: client,
      })
        .setProtectedHeader({ alg: algorithm, typ: type, kid })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(userId)
        .setJti(randomUUID())
        .setIssuedAt(new Date(now))
        .setExpirationTime(new Date(now + accessTokenMs))
        .sign(privateKey)
    },
    verify: async (token) => {
      try {
        const { payload } = await jwtVerify(token, keyOf, {
          algorithms: [algorithm],
          typ: type,
          issuer,
          audience,
          requiredClaims: ['exp', 'iat', 'sub', 'sid', 'tenant', 'auth_time'],
          maxTokenAge: accessTokenMs / 1000,
          clockTolerance: 30,
          currentDate: new Date(nowMs()),
        })
        const { sub, sid, tenant, amr, auth_time, mfa_time, client_id } = claimsSchema.parse(payload)
        return {
          userId: sub,
          sessionId: sid,
          tenant,
          amr,
          authenticatedAt: auth_time * 1000,
          ...(mfa_time !== undefined && { mfaAt: mfa_time * 1000 }),
          client: client_id,
        }
      } catch (cause) {
        throw new OmiumError(
          'unauthenticated',
          'the access token is not valid, or not any more: refresh it or sign in',
          {
            cause,
          },
        )
      }
    },
  }
}
