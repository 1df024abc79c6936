import { randomUUID } from 'node:crypto'
import { createOutsideCalls } from '@omium/resilience'
import { callerId, OmiumError, permission } from '@omium/schemas'
import { type CryptoKey, createRemoteJWKSet, customFetch, type JWTVerifyGetKey, jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'

/**
 * Service tokens: JWTs (EdDSA, type `svc+jwt`) with which one service calls another for a while in somebody's name. Signed with the
 * installation's keys, which are published; whoever takes one names itself as its audience and takes no other.
 *
 * What a token says is an upper bound. Who takes it asks whether the key or the session behind it is still good, and gives it no
 * more than that has now.
 */
export const serviceAudiences = ['gateway', 'models', 'engine'] as const
export type ServiceAudience = (typeof serviceAudiences)[number]

export const serviceTokenMs = 5 * 60_000
const type = 'svc+jwt'
const algorithm = 'EdDSA'

const claimsSchema = z.object({
  /** the id of the key, or of the user */
  sub: callerId,
  tenant: callerId,
  scopes: z.array(permission),
  /** the session behind it; absent: an API key is */
  sid: callerId.optional(),
  /** seconds */
  iat: z.number(),
})

export interface ServiceClaims {
  readonly tenant: string
  readonly source: { readonly key: string } | { readonly user: string; readonly session: string }
  readonly permissions: readonly z.infer<typeof permission>[]
}
export interface VerifiedServiceToken extends ServiceClaims {
  /** ms */
  readonly issuedAt: number
}

const audienceOf = (audience: ServiceAudience): string => `omium:${audience}`

export interface ServiceTokenIssuer {
  /** URL */
  readonly issuer: string
  signing(): Promise<{ readonly kid: string; readonly privateKey: CryptoKey }>
  readonly nowMs: () => number
}

export const mintServiceToken = async (
  { issuer, signing, nowMs }: ServiceTokenIssuer,
  audience: ServiceAudience,
  { tenant, source, permissions }: ServiceClaims,
): Promise<{ readonly token: string; readonly expiresAt: number }> => {
  const { kid, privateKey } = await signing()
  const now = nowMs()
  const expiresAt = now + serviceTokenMs
  const token = await new SignJWT({
    tenant,
    scopes: [...permissions],
    ...('session' in source && { sid: source.session }),
  })
    .setProtectedHeader({ alg: algorithm, typ: type, kid })
    .setIssuer(issuer)
    .setAudience(audienceOf(audience))
    .setSubject('key' in source ? source.key : source.user)
    .setJti(randomUUID())
    .setIssuedAt(new Date(now))
    .setExpirationTime(new Date(expiresAt))
    .sign(privateKey)
  return { token, expiresAt }
}

export interface ServiceTokenVerifier {
  readonly issuer: string
  readonly audience: ServiceAudience
  /** finds the published key that a token names */
  readonly keyOf: JWTVerifyGetKey
  readonly nowMs: () => number
}

const keysMs = 2_500

/**
 * The keys that the gateway at `platformUrl` publishes, read when they are needed, again when a token names a new one, and every
 * ten minutes. Kept for the life of the process. Throws `unavailable` when they have to be read and cannot be.
 */
export const publishedKeys = (platformUrl: string): JWTVerifyGetKey => {
  const platform = createOutsideCalls({ target: 'published keys', timeoutMs: keysMs, tries: 2 })
  return createRemoteJWKSet(new URL('/.well-known/jwks.json', platformUrl), {
    cooldownDuration: 5_000,
    // the limits are those of `platform`
    timeoutDuration: 10 * keysMs,
    [customFetch]: (url, { signal, ...options }) =>
      platform
        .call(async (limit) => {
          const answer = await fetch(url, { ...options, signal: AbortSignal.any([signal, limit]) })
          if (answer.status !== 200) throw new RangeError(`status ${answer.status}`)
          return answer
        })
        .catch((cause: unknown) => {
          throw new OmiumError('unavailable', 'the keys that the platform publishes cannot be read: try again', {
            cause,
          })
        }),
  })
}

/** Whether a text says that it is one; nothing of it is checked. */
export const isServiceToken = (token: string): boolean => {
  try {
    const header = JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString()) as {
      typ?: unknown
    }
    return header.typ === type
  } catch {
    return false
  }
}

/**
 * @throws OmiumError `unauthenticated` for whatever is no live token for this audience; the detail never quotes it.
 *   `unavailable` when nobody can tell
 */
export const verifyServiceToken = async (
  { issuer, audience, keyOf, nowMs }: ServiceTokenVerifier,
  token: string,
): Promise<VerifiedServiceToken> => {
  try {
    const { payload } = await jwtVerify(token, keyOf, {
      algorithms: [algorithm],
      typ: type,
      issuer,
      audience: audienceOf(audience),
      requiredClaims: ['exp', 'iat', 'sub', 'tenant', 'scopes'],
      maxTokenAge: serviceTokenMs / 1000,
      clockTolerance: 30,
      currentDate: new Date(nowMs()),
    })
    const { sub, tenant, scopes, sid, iat } = claimsSchema.parse(payload)
    const source = sid === undefined ? { key: sub } : { user: sub, session: sid }
    return { tenant, source, permissions: scopes, issuedAt: iat * 1000 }
  } catch (cause) {
    if (cause instanceof OmiumError && cause.code === 'unavailable') throw cause
    throw new OmiumError('unauthenticated', `this is no valid service token for ${audience}: get a new one`, { cause })
  }
}
