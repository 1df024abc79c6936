import type { SessionCaller } from '@omium/access'
import { OmiumError } from '@omium/schemas'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SignedIn } from '../accounts.ts'
import type { Cookies } from '../cookies.ts'
import { pendingMs } from '../factors/ceremonies.ts'
import { networkOf } from '../network.ts'
import { contentSecurityPolicy } from '../pages/html.ts'
import type { AttemptLimit } from '../ports.ts'
import type { SignInServices } from '../services.ts'
import type { Proof, Tokens } from '../sessions.ts'

export const wantsHtml = ({ headers }: FastifyRequest): boolean => headers.accept?.includes('text/html') === true

export const sendPage = (reply: FastifyReply, html: string): FastifyReply =>
  reply.header('content-security-policy', contentSecurityPolicy).type('text/html; charset=utf-8').send(html)

export const setTokens = (cookies: Cookies, reply: FastifyReply, tokens: Tokens): void => {
  cookies.set(reply, 'access', tokens.accessToken, tokens.accessLivesMs)
  cookies.set(reply, 'refresh', tokens.refreshToken, tokens.refreshLivesMs)
}

const perNetwork: AttemptLimit = { attempts: 100, withinMs: 10 * 60_000 }

/** @throws OmiumError `rate_limited` when too many sign-ins were tried from where the request comes from */
export const countAttempt = ({ limits }: SignInServices, { ip }: FastifyRequest): Promise<void> =>
  limits.take(`network:${networkOf(ip)}`, perNetwork)

/**
 * After a first factor: into a session and on to where they wanted to go; who has second factors is asked for one first. Whether
 * that is needed is for the log to say.
 */
export const finishSignIn = async (
  { sessions, cookies, pending }: SignInServices,
  request: FastifyRequest,
  reply: FastifyReply,
  signedIn: SignedIn,
  proof: Proof,
  { sessionId, landing }: { readonly sessionId: string; readonly landing: string },
): Promise<FastifyReply> => {
  try {
    setTokens(cookies, reply, await sessions.start(signedIn, proof, sessionId, request.id))
    // of an earlier try, maybe of somebody else
    cookies.clear(reply, 'pending')
    return reply.redirect(landing, 303)
  } catch (error) {
    if (!(error instanceof OmiumError && error.code === 'mfa_required')) throw error
    const { amr, authenticatedAt, client } = proof
    const missing = { ...signedIn, amr: [...amr], authenticatedAt, client, sessionId, returnTo: landing }
    cookies.set(reply, 'pending', await pending.seal(missing, pendingMs), pendingMs)
    return reply.redirect('/auth/mfa', 303)
  }
}

/** @throws OmiumError `unauthenticated` */
export const sessionOf = async ({ callers }: SignInServices, request: FastifyRequest): Promise<SessionCaller> => {
  const caller = await callers.callerOf(request.headers, request.method)
  if (!caller) throw new OmiumError('unauthenticated', 'sign in at /auth/sign-in, or refresh the session')
  return caller
}

/** Browsers carry cookies, programs carry tokens. */
export const byCookie = ({ headers }: FastifyRequest): boolean => headers.authorization === undefined

/** New tokens in the way in which the old ones came: what a browser holds in a cookie no script ever gets to see. */
export const tokensFor = (
  { cookies }: SignInServices,
  reply: FastifyReply,
  cookie: boolean,
  tokens: Tokens,
): Record<string, string | number> => {
  const { accessToken, refreshToken, accessLivesMs } = tokens
  const expiresIn = Math.floor(accessLivesMs / 1000)
  if (!cookie) return { accessToken, refreshToken, tokenType: 'Bearer', expiresIn }
  setTokens(cookies, reply, tokens)
  return { expiresIn }
}
