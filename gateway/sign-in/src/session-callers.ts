import type { IncomingHttpHeaders } from 'node:http'
import type { SessionRecord } from '@omium/projection-identity'
import { OmiumError } from '@omium/schemas'
import type { Cookies } from './cookies.ts'
import { isUnsafe, requireSameOrigin } from './origin.ts'
import type { IdentityReads } from './ports.ts'
import { isOpen } from './sessions.ts'
import type { AccessClaims, AccessTokens } from './tokens/access-tokens.ts'

/** Who asks, when it is a person: by bearer token (CLI) or by cookie (browser). */
export interface SessionCallers {
  /**
   * @returns undefined when nothing was shown, or what was shown is no live token of a live session
   * @throws OmiumError `origin_refused` when a cookie came along with a change that another site asked for
   */
  callerOf(headers: IncomingHttpHeaders, method: string): Promise<AccessClaims | undefined>
}

export interface SessionCallersOptions {
  readonly access: AccessTokens
  readonly cookies: Cookies
  readonly publicOrigin: string
  readonly session: IdentityReads['session']
  readonly nowMs: () => number
}

/** an ended session is out after so long at most */
const rememberedMs = 2_000
const mostRemembered = 10_000
const bearer = /^Bearer +(ey[A-Za-z0-9._-]{20,4000})$/i

export const createSessionCallers = (options: SessionCallersOptions): SessionCallers => {
  const { access, cookies, publicOrigin, session, nowMs } = options
  const remembered = new Map<string, { readonly until: number; readonly found: Promise<SessionRecord | undefined> }>()

  const stateOf = (sessionId: string): Promise<SessionRecord | undefined> => {
    const known = remembered.get(sessionId)
    if (known && known.until > nowMs()) return known.found
    const found = session(sessionId)
    const entry = { until: nowMs() + rememberedMs, found }
    remembered.delete(sessionId)
    remembered.set(sessionId, entry)
    if (remembered.size > mostRemembered) remembered.delete(remembered.keys().next().value as string)
    found.catch(() => {
      // an error says nothing about the session: the next request asks again
      if (remembered.get(sessionId) === entry) remembered.delete(sessionId)
    })
    return found
  }

  const verified = async (token: string): Promise<AccessClaims | undefined> => {
    try {
      return await access.verify(token)
    } catch (error) {
      if (error instanceof OmiumError && error.code === 'unauthenticated') return undefined
      throw error
    }
  }

  return {
    callerOf: async (headers, method) => {
      const shown = bearer.exec(headers.authorization ?? '')?.[1]
      const token = headers.authorization === undefined ? cookies.read(headers.cookie, 'access') : shown
      if (!token) return undefined
      if (shown === undefined && isUnsafe(method)) requireSameOrigin(headers, publicOrigin)
      const claims = await verified(token)
      if (!claims) return undefined
      const state = await stateOf(claims.sessionId)
      return state?.userId === claims.userId && isOpen(state, nowMs()) ? claims : undefined
    },
  }
}

/**
 * For sensitive acts: they proved who they are within so many ms.
 * @throws OmiumError `reauthentication_required`
 */
export const requireFreshProof = ({ authenticatedAt }: AccessClaims, withinMs: number, nowMs: number): void => {
  if (nowMs - authenticatedAt > withinMs)
    throw new OmiumError(
      'reauthentication_required',
      `prove who you are again, this needs a sign-in within the last ${Math.round(withinMs / 60_000)} min: /auth/sign-in?fresh=true`,
    )
}
