import { type EndedSessions, remember, type SessionCallers } from '@omium/access'
import type { SessionRecord } from '@omium/projection-identity'
import { OmiumError } from '@omium/schemas'
import type { Cookies } from './cookies.ts'
import { isUnsafe, requireSameOrigin } from './origin.ts'
import type { IdentityReads } from './ports.ts'
import { isOpen } from './sessions.ts'
import type { AccessClaims, AccessTokens } from './tokens/access-tokens.ts'

export interface SessionCallersOptions {
  readonly access: AccessTokens
  readonly cookies: Cookies
  readonly publicOrigin: string
  readonly session: IdentityReads['session']
  readonly ended: EndedSessions
  /** whether this process has heard everything that the log says by now */
  readonly isFollowed: () => Promise<boolean>
  readonly nowMs: () => number
}

/** an ended session is out after so long at most */
const cacheMs = 2_000
const bearer = /^Bearer +(ey[A-Za-z0-9._-]{20,4000})$/i

/**
 * Who asks, when it is a person: by bearer token (CLI) or by cookie (browser). Nobody, when what is shown is no live token of a
 * live session. A change or a WebSocket that is asked for with a cookie has to
 * come from our own pages (`origin_refused`).
 */
export const createSessionCallers = (options: SessionCallersOptions): SessionCallers => {
  const { access, cookies, publicOrigin, session, ended, isFollowed, nowMs } = options
  const states = remember<SessionRecord | undefined>({
    ask: (name) => session(...(name.split('/') as [string, string])),
    outlasts: (state) => state !== undefined,
    isFollowed,
    nowMs,
    cacheMs,
  })

  const verified = async (token: string): Promise<AccessClaims | undefined> => {
    try {
      return await access.verify(token)
    } catch (error) {
      if (error instanceof OmiumError && error.code === 'unauthenticated') return undefined
      throw error
    }
  }

  return {
    callerOf: async ({ authorization, cookie, ...headers }, method) => {
      const byCookie = authorization === undefined
      const token = byCookie ? cookies.read(cookie, 'access') : bearer.exec(String(authorization))?.[1]
      if (!token) return undefined
      // a WebSocket is a GET that other sites may open as well
      if (byCookie && (isUnsafe(method) || headers['upgrade'] !== undefined)) requireSameOrigin(headers, publicOrigin)
      const claims = await verified(token)
      if (claims && ended.has(claims.sessionId)) return undefined
      const state = claims && (await states.get(`${claims.userId}/${claims.sessionId}`))
      const good = claims !== undefined && state?.userId === claims.userId && isOpen(state, nowMs())
      return good ? { ...claims, login: state.login } : undefined
    },
  }
}
