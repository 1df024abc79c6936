import { callerId, challengeMs, login } from '@omium/schemas'
import { z } from 'zod'
import { derivedKey } from '../derived-keys.ts'
import { createSealedTokens, type SealedTokens } from '../sealed-token.ts'

/**
 * What is under way between two requests, encrypted with whoever asked: in a cookie of the browser, or in the hands of a
 * program. It is for one purpose and, but for a sign-in with a passkey, for one user.
 */
export const ceremony = z.discriminatedUnion('for', [
  /** an authenticator app that has shown no code yet */
  z.object({ for: z.literal('totp'), userId: callerId, secret: z.string() }),
  z.object({
    for: z.literal('registration'),
    userId: callerId,
    kind: z.enum(['security_key', 'passkey']),
    challenge: z.string(),
  }),
  z.object({ for: z.literal('assertion'), userId: callerId, challenge: z.string() }),
  z.object({ for: z.literal('passkey'), challenge: z.string(), returnTo: z.string() }),
])
export type Ceremony = z.infer<typeof ceremony>

/** how long one may take: the log remembers answered challenges for longer */
export const ceremonyMs = challengeMs

export const createCeremonies = (tokenSecret: string, nowMs: () => number): SealedTokens<Ceremony> =>
  createSealedTokens(derivedKey(tokenSecret, 'factor-ceremony'), ceremony, nowMs)

/** A first factor was proved; the second is missing. No session: it opens nothing but the pages that ask for one. */
export const pendingSignIn = z.object({
  userId: callerId,
  tenant: callerId,
  login,
  amr: z.array(z.string()),
  authenticatedAt: z.number(),
  client: z.enum(['browser', 'cli']),
  sessionId: callerId,
  returnTo: z.string(),
})
export type PendingSignIn = z.infer<typeof pendingSignIn>

export const pendingMs = 10 * 60_000

export const createPendingSignIns = (tokenSecret: string, nowMs: () => number): SealedTokens<PendingSignIn> =>
  createSealedTokens(derivedKey(tokenSecret, 'pending-sign-in'), pendingSignIn, nowMs)
