import type { MembershipRecord, SessionRecord } from '@omium/projection-identity'
import {
  type FactorProof,
  type IdSource,
  OmiumError,
  parseSsoIssuer,
  platformTenant,
  type UserCommand,
} from '@omium/schemas'
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
  /** of a second factor */
  readonly factor?: FactorProof
}

/** Whose a session is. */
export interface Owner {
  readonly userId: string
  readonly sessionId: string
}

export interface Sessions {
  /**
   * @param sessionId the same again is the same session
   * @throws OmiumError `session_ended`; `mfa_required` for who has second factors and proved none; what `factor` is refused with
   */
  start(signedIn: SignedIn, proof: Proof, sessionId: string, correlationId: string): Promise<Tokens>
  /** @throws OmiumError `session_ended`, `refresh_reused` */
  refresh(refreshToken: string, correlationId: string): Promise<Tokens>
  /** @throws OmiumError `not_found` for a tenant that they are no member of */
  switchTenant(caller: Owner, tenant: string, correlationId: string): Promise<Tokens>
  /** Changes something about the session's user, within it. @returns tokens that say what is so afterwards */
  change(caller: Owner, command: UserCommand, correlationId: string): Promise<Tokens>
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

/** Nobody tells us when a company's identity provider drops somebody, so they have to come by once a day. */
const ssoSessionMs = 86_400_000

export const createSessions = (options: SessionsOptions): Sessions => {
  const { identity, reads, access, refresh, ids, nowMs, sessionMs } = options

  const tell = async (
    userId: string,
    correlationId: string,
    commandId: string,
    command: UserCommand,
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
    const mfaAt = session.mfaAt?.getTime()
    return {
      accessToken: await access.mint({ userId, sessionId, tenant, amr, authenticatedAt, mfaAt, client }),
      refreshToken: refresh.mint({ userId, sessionId, generation }),
      accessLivesMs: accessTokenMs,
      refreshLivesMs: session.expiresAt.getTime() - nowMs(),
    }
  }

  return {
    start: async ({ userId, tenant, login }, shown, sessionId, correlationId) => {
      const { amr, authenticatedAt, client, factor, approvedBy } = shown
      const expiresAt = nowMs() + (parseSsoIssuer(login.issuer) ? Math.min(sessionMs, ssoSessionMs) : sessionMs)
      const approved = approvedBy !== undefined && { approvedBy }
      const data = { sessionId, tenant, login, amr: [...amr], authenticatedAt, expiresAt, client, ...approved }
      // a proof that is shown twice is not the same command: it has to be refused
      const [id, proof] = factor
        ? [ids('command'), { proof: factor }]
        : [derivedId('command', 'start', sessionId), undefined]
      await tell(userId, correlationId, id, { type: 'StartSession', data: { ...data, ...proof } })
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
    change: async ({ userId, sessionId }, command, correlationId) => {
      await tell(userId, correlationId, ids('command'), command)
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
