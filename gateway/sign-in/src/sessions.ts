import type { MembershipRecord, SessionRecord } from '@omium/projection-identity'
import { type IdentityContextCommand, type IdSource, OmiumError, platformTenant } from '@omium/schemas'
import { type SignedIn, userKey } from './accounts.ts'
import { derivedId } from './identifiers.ts'
import type { IdentityCommands, IdentityReads } from './ports.ts'
import { type AccessTokens, accessTokenMs } from './tokens/access-tokens.ts'
import type { RefreshTokens } from './tokens/refresh-tokens.ts'

/**
 * Sessions: begun by a sign-in, carried by tokens, decided on the log.
 *
 * 1. A session's id is always minted here, at a sign-in; none that a browser brings is ever taken on.
 * 2. Tokens are minted from the recorded state of the session, after it holds what was decided.
 * 3. A session is used, ended and switched by its own user only.
 */
export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string
  /** ms from now */
  readonly accessLivesMs: number
  readonly refreshLivesMs: number
}

export interface Proof {
  readonly amr: readonly string[]
  /** ms; 0: not known */
  readonly authenticatedAt: number
  readonly client: 'browser' | 'cli'
  /** the session of the same person in which they let this one in */
  readonly approvedBy?: string
  /** of the session, ms; as long as any when absent */
  readonly livesMs?: number
}

/** Whose a session is. */
export interface Owner {
  readonly userId: string
  readonly sessionId: string
}

export interface Sessions {
  /** @param sessionId the same again is the same session. @throws OmiumError `session_ended` */
  start(signedIn: SignedIn, proof: Proof, sessionId: string, correlationId: string): Promise<Tokens>
  /** @throws OmiumError `session_ended`, `refresh_reused` */
  refresh(refreshToken: string, correlationId: string): Promise<Tokens>
  /** @throws OmiumError `not_found` for a tenant that they are no member of */
  switchTenant(caller: Owner, tenant: string, correlationId: string): Promise<Tokens>
  /** @throws OmiumError `not_found` for sessions of others */
  end(caller: Owner, sessionId: string, correlationId: string): Promise<void>
  endAll(caller: Owner, correlationId: string): Promise<void>
  /** whose session a refresh token is for, so that who was away for longer than an access token lives can sign out */
  ownerOf(refreshToken: string): Owner | undefined
  /** open ones, newest first */
  list(userId: string): Promise<readonly SessionRecord[]>
  memberships(userId: string): Promise<readonly MembershipRecord[]>
}

export interface SessionsOptions {
  readonly identity: IdentityCommands
  readonly reads: IdentityReads
  readonly access: AccessTokens
  readonly refresh: RefreshTokens
  readonly ids: IdSource
  readonly nowMs: () => number
  readonly sessionMs: number
}

export const createSessions = (options: SessionsOptions): Sessions => {
  const { identity, reads, access, refresh, ids, nowMs, sessionMs } = options

  const tell = async (
    userId: string,
    correlationId: string,
    commandId: string,
    command: IdentityContextCommand,
  ): Promise<void> => {
    const aggregate = userKey(userId)
    const asker = { tenant: platformTenant, actor: `user:${userId}`, correlationId }
    await identity.execute(asker, aggregate, commandId, command)
    await identity.untilCurrent(aggregate)
  }

  const tokensOf = async ({ userId, sessionId }: Owner): Promise<Tokens> => {
    const session = await reads.session(userId, sessionId)
    if (!session || !isOpen(session, nowMs())) throw new OmiumError('session_ended', 'sign in again')
    const { tenant, amr, client, generation } = session
    const authenticatedAt = session.authenticatedAt.getTime()
    return {
      accessToken: await access.mint({ userId, sessionId, tenant, amr, authenticatedAt, client }),
      refreshToken: refresh.mint({ userId, sessionId, generation }),
      accessLivesMs: accessTokenMs,
      refreshLivesMs: session.expiresAt.getTime() - nowMs(),
    }
  }

  return {
    start: async ({ userId, tenant, login }, { amr, authenticatedAt, client, livesMs }, sessionId, correlationId) => {
      const expiresAt = nowMs() + Math.min(sessionMs, livesMs ?? sessionMs)
      const data = { sessionId, tenant, login, amr: [...amr], authenticatedAt, expiresAt, client }
      await tell(userId, correlationId, derivedId('command', 'start', sessionId), { type: 'StartSession', data })
      return tokensOf({ userId, sessionId })
    },
    refresh: async (refreshToken, correlationId) => {
      const { userId, sessionId, generation } = refresh.verify(refreshToken)
      await tell(userId, correlationId, ids('command'), { type: 'RefreshSession', data: { sessionId, generation } })
      return tokensOf({ userId, sessionId })
    },
    switchTenant: async ({ userId, sessionId }, tenant, correlationId) => {
      const memberships = await reads.memberships(userId)
      if (!memberships.some((membership) => membership.tenant === tenant))
        throw new OmiumError('not_found', 'you are a member of no such tenant')
      await tell(userId, correlationId, ids('command'), { type: 'SwitchTenant', data: { sessionId, tenant } })
      return tokensOf({ userId, sessionId })
    },
    end: async ({ userId }, sessionId, correlationId) => {
      const session = await reads.session(userId, sessionId)
      if (!session) throw new OmiumError('not_found', 'you have no such session')
      await tell(userId, correlationId, ids('command'), { type: 'EndSession', data: { sessionId, why: 'signed_out' } })
    },
    endAll: ({ userId }, correlationId) =>
      tell(userId, correlationId, ids('command'), { type: 'EndSessions', data: { why: 'signed_out' } }),
    ownerOf: (refreshToken) => {
      try {
        return refresh.verify(refreshToken)
      } catch {
        return undefined
      }
    },
    list: async (userId) => (await reads.sessions(userId)).filter((session) => isOpen(session, nowMs())),
    memberships: (userId) => reads.memberships(userId),
  }
}

export const isOpen = ({ endedAt, expiresAt }: SessionRecord, nowMs: number): boolean =>
  endedAt === null && expiresAt.getTime() > nowMs
