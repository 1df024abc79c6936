import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Cookies } from '../cookies.ts'
import { networkOf } from '../network.ts'
import { contentSecurityPolicy } from '../pages/pages.ts'
import type { AttemptLimit } from '../ports.ts'
import type { SignInServices } from '../services.ts'
import type { Tokens } from '../sessions.ts'

export const wantsHtml = ({ headers }: FastifyRequest): boolean => headers.accept?.includes('text/html') === true

export const sendPage = (reply: FastifyReply, html: string): FastifyReply =>
  reply.header('content-security-policy', contentSecurityPolicy).type('text/html; charset=utf-8').send(html)

export const setTokens = (cookies: Cookies, reply: FastifyReply, tokens: Tokens): void => {
  cookies.set(reply, 'access', tokens.accessToken, tokens.accessLivesMs)
  cookies.set(reply, 'refresh', tokens.refreshToken, tokens.refreshLivesMs)
}

const perNetwork: AttemptLimit = { attempts: 100, withinMs: 10 * 60_000 }

/** a whole company may come from one address on a Monday morning, and nothing can be guessed there */
const perCompany: AttemptLimit = { attempts: 3_000, withinMs: 10 * 60_000 }

/** For what leads to a tenant's own identity provider. @throws OmiumError `rate_limited` */
export const countSsoAttempt = ({ limits }: SignInServices, { ip }: FastifyRequest): Promise<void> =>
  limits.take(`sso:${networkOf(ip)}`, perCompany)

/** @throws OmiumError `rate_limited` when too many sign-ins were tried from where the request comes from */
export const countAttempt = ({ limits }: SignInServices, { ip }: FastifyRequest): Promise<void> =>
  limits.take(`network:${networkOf(ip)}`, perNetwork)
