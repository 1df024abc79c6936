import { createHmac, timingSafeEqual } from 'node:crypto'
import { OmiumError } from '@omium/schemas'
import { z } from 'zod'

/**
 * What a gateway vouches for when it lets a worker connect to the engines: `base64url(claims).base64url(HMAC-SHA256)`.
 * Gateways mint, engines verify; both know OMIUM_TOKEN_SECRET. They live as long as service tokens do (`serviceTokenMs`), and engines
 * hear on the log what ends them sooner.
 */
const workerClaims = z.object({
  tenant: z.string().min(1),
  /** the API key that was shown to the gateway, or the user */
  keyId: z.string().min(1),
  /** `key:<id>` or `user:<id>`; absent: a key */
  actor: z.string().optional(),
  /** of a user */
  session: z.string().optional(),
  /** ms since the epoch */
  expiresAt: z.number().int(),
})
export type WorkerClaims = z.infer<typeof workerClaims>

/** Separates these tokens from anything else that may ever be signed with the same secret. */
const purpose = 'omium.worker-token.v1'

const sign = (secret: string, body: string): Buffer =>
  createHmac('sha256', secret).update(`${purpose}.${body}`).digest()

export const mintWorkerToken = (secret: string, claims: WorkerClaims): string => {
  const body = Buffer.from(JSON.stringify(claims)).toString('base64url')
  return `${body}.${sign(secret, body).toString('base64url')}`
}

/**
 * @throws OmiumError `unauthenticated` for a token that is malformed, forged or expired; the detail never quotes it
 */
export const verifyWorkerToken = (secret: string, token: string, nowMs: number): WorkerClaims => {
  const [body, signature, ...rest] = token.split('.')
  if (!body || !signature || rest.length > 0) throw new OmiumError('unauthenticated', 'the worker token is malformed')
  const given = Buffer.from(signature, 'base64url')
  const expected = sign(secret, body)
  // the decoder skips what is not base64url: only the canonical text counts, so that a token has one spelling
  const canonical = given.toString('base64url') === signature
  if (!canonical || given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new OmiumError('unauthenticated', 'the worker token was not signed by this installation')
  }
  const claims = workerClaims.parse(JSON.parse(Buffer.from(body, 'base64url').toString('utf8')))
  if (claims.expiresAt <= nowMs) {
    throw new OmiumError('unauthenticated', 'the worker token has expired; ask the gateway for a new one')
  }
  return claims
}
