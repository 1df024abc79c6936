import type { Login, UserCommand, UserEvent } from '@omium/schemas'
import { type Asked, type Decision, decided, refused } from './decision.ts'
import { addFactor, decideProof, evolveFactors, type Factors, hasFactors, noFactors, removeFactor } from './factors.ts'
import { held } from './held.ts'
import { evolveNotices, type Notices, owe, withNotices } from './notices.ts'

/**
 * A user, the ways in, and the sessions.
 *
 * 1. A user is registered once; another login of theirs is linked to them. The last login stays.
 * 2. A session's refresh token has a generation. The current one is exchanged for the next. The one before it is answered with
 *    the current one again, for `graceMs`: an answer may have been lost. Any other ends the session: two parties hold its
 *    tokens, and one of them stole them.
 * 3. A session that has ended, or whose time is over by the owner's clock, is never refreshed or switched.
 * 4. An erased user has no session, gets none, and is never registered again.
 * 5. `tenants` is what they are, or were, a member of. Each is told when they are erased, and each that they join later.
 * 6. Whoever has second factors (factors.ts) gets a session with the proof of one only, or on the word of a session that has seen
 *    one. Only a tenant's own identity provider gets them into that tenant without; such a session goes nowhere else.
 * 7. A session on the word of another begins only while that one is open: signing out, everywhere or there, leaves none to come.
 * 8. They are told by mail what changes about who gets in (notices.ts).
 */
export interface UserState {
  readonly userId: string
  readonly correlationId: string
  address: string
  /** sealed */
  readonly email: string
  readonly logins: Login[]
  /** open ones, by id */
  readonly sessions: Record<string, SessionState>
  /** ids of the newest that ended */
  readonly ended: string[]
  /** the first tenant, until its founding is on the log */
  founding: { readonly id: string; readonly name: string } | undefined
  status: 'active' | 'erasing' | 'erased'
  factors: Factors
  notices: Notices
  /** with the version at which it was noted */
  readonly tenants: Record<string, number>
}

export interface SessionState {
  tenant: string
  readonly authenticatedAt: number
  readonly expiresAt: number
  generation: number
  refreshedAt: number
  /** when a second factor was last proved in it */
  mfaAt: number | undefined
}

/** how long the token before the current one is taken for a lost answer */
export const graceMs = 10_000
export const mostSessions = 50
export const mostLogins = 20
const rememberedEnds = 100

interface Place {
  readonly id: string
  readonly correlationId: string
  /** of the aggregate, after this event */
  readonly version: number
}

/** Changes the state that it is given. */
export const evolveUser = (before: UserState | undefined, event: UserEvent, place: Place): UserState => {
  const { type, data } = event
  if (type === 'UserRegistered') {
    const { address, email, login, tenant } = data
    const { id: userId, correlationId } = place
    return {
      userId,
      correlationId,
      address,
      email,
      logins: [login],
      sessions: {},
      ended: [],
      founding: tenant,
      status: 'active',
      factors: noFactors(),
      notices: {},
      tenants: {},
    }
  }
  const state = before
  if (!state) throw new RangeError(`${type} of a user that was never registered`)
  switch (type) {
    case 'LoginLinked':
      state.logins.push(data.login)
      break
    case 'LoginUnlinked':
      state.logins.splice(
        state.logins.findIndex((one) => same(one, data.login)),
        1,
      )
      break
    case 'PersonalTenantRequested':
      state.founding = undefined
      break
    case 'SessionStarted': {
      const { sessionId, tenant, authenticatedAt, expiresAt, mfaAt } = data
      const begun = { generation: 0, refreshedAt: authenticatedAt, mfaAt }
      state.sessions[sessionId] = { tenant, authenticatedAt, expiresAt, ...begun }
      break
    }
    case 'SessionSteppedUp': {
      const session = state.sessions[data.sessionId]
      if (session) session.mfaAt = data.at
      break
    }
    case 'FactorAdded':
    case 'FactorUsed':
    case 'FactorRemoved':
    case 'RecoveryCodesIssued':
    case 'RecoveryCodeUsed':
      evolveFactors(state.factors, event)
      break
    case 'SecurityNoticeOwed':
    case 'SecurityNoticeSettled':
      evolveNotices(state.notices, event, place.version)
      break
    case 'SessionRefreshed': {
      const session = state.sessions[data.sessionId]
      if (session) Object.assign(session, { generation: data.generation, refreshedAt: data.at })
      break
    }
    case 'SessionSwitched': {
      const session = state.sessions[data.sessionId]
      if (session) session.tenant = data.tenant
      break
    }
    case 'SessionEnded':
      delete state.sessions[data.sessionId]
      state.ended.push(data.sessionId)
      if (state.ended.length > rememberedEnds) state.ended.shift()
      break
    case 'MembershipNoted':
      state.tenants[data.tenant] = place.version
      break
    case 'MembershipWithdrawn':
      delete state.tenants[data.tenant]
      break
    case 'UserErased':
      state.status = 'erasing'
      state.factors = noFactors()
      state.notices = {}
      break
    case 'ErasureCompleted':
      state.status = 'erased'
      break
    case 'UserRenamed':
    case 'FactorSuspected':
      break
  }
  return state
}

const same = (a: Login, b: Login): boolean => a.method === b.method && a.issuer === b.issuer && a.subject === b.subject

export const decideUser = (
  state: UserState | undefined,
  command: UserCommand,
  userId: string,
  asked: Asked,
): Decision<UserEvent> => {
  const decision = decide(state, command, userId, asked)
  return state ? withNotices(decision, state, asked.nowMs) : decision
}

const decide = (
  state: UserState | undefined,
  command: UserCommand,
  userId: string,
  asked: Asked,
): Decision<UserEvent> => {
  const { type, data } = command
  if (!state) {
    if (type === 'RegisterUser') return decided({ type: 'UserRegistered', data })
    return refused('user_unknown', `there is no user ${userId}`)
  }
  const { actor: by } = asked
  if (type === 'NoteMembership')
    return held(state.tenants, data.tenant) !== undefined ? decided() : decided({ type: 'MembershipNoted', data })
  if (state.status !== 'active') {
    if (type === 'EraseUser' || type === 'EndSessions' || type === 'EndSession' || type === 'NoteApiKey')
      return decided()
    return refused('user_unknown', `the user ${userId} was erased`)
  }
  switch (type) {
    case 'RegisterUser':
      if (state.address !== data.address) return refused('identity_conflict', `the user ${userId} has another address`)
      if (state.logins.some((one) => same(one, data.login))) return decided()
      if (state.logins.length >= mostLogins)
        return refused('identity_conflict', `a user has at most ${mostLogins} logins`)
      return decided({ type: 'LoginLinked', data: { login: data.login, by } })
    case 'UnlinkLogin':
      if (!state.logins.some((one) => same(one, data.login))) return decided()
      if (state.logins.length === 1) return refused('identity_conflict', 'this is the last way in')
      return decided({ type: 'LoginUnlinked', data: { ...data, by } })
    case 'RenameUser':
      return decided({ type: 'UserRenamed', data })
    case 'StartSession':
      return start(state, data, asked)
    case 'RefreshSession':
      return refresh(state, data, asked)
    case 'SwitchTenant': {
      const session = held(state.sessions, data.sessionId)
      if (!session || session.expiresAt <= asked.nowMs) return ended()
      if (session.mfaAt === undefined && hasFactors(state.factors))
        return refused('mfa_required', 'prove a second factor to go to another tenant: /auth/mfa')
      return session.tenant === data.tenant ? decided() : decided({ type: 'SessionSwitched', data })
    }
    case 'EndSession':
      return held(state.sessions, data.sessionId) ? decided(end(data.sessionId, data.why, by)) : decided()
    case 'EndSessions': {
      const { tenant, except, why } = data
      const meant = Object.entries(state.sessions).filter(
        ([id, session]) => id !== except && (tenant === undefined || session.tenant === tenant),
      )
      return decided(...meant.map(([id]) => end(id, why, by)))
    }
    case 'AddFactor':
      return inSession(state, data, asked, addFactor(state.factors, data, { by, at: asked.nowMs }))
    case 'StepUpSession': {
      const { sessionId, proof } = data
      return inSession(state, data, asked, decideProof(state.factors, proof, { sessionId, at: asked.nowMs }))
    }
    case 'RemoveFactor':
      return removeFactor(state.factors, data, by)
    case 'IssueRecoveryCodes':
      if (!hasFactors(state.factors)) return refused('factor_unknown', 'recovery codes stand in for factors: add one')
      return decided({ type: 'RecoveryCodesIssued', data: { ...data, by } })
    case 'NoteApiKey':
      return owe(state.notices, { about: 'api_key_issued', ...data }, asked.nowMs)
    case 'EraseUser':
      return decided(...Object.keys(state.sessions).map((id) => end(id, 'erased', by)), {
        type: 'UserErased',
        data: { by },
      })
  }
}

type Why = Extract<UserEvent, { type: 'SessionEnded' }>['data']['why']

const end = (sessionId: string, why: Why, by: string): UserEvent => ({
  type: 'SessionEnded',
  data: { sessionId, why, by },
})

const ended = (...events: UserEvent[]) => refused<UserEvent>('session_ended', 'sign in again', ...events)

/** A factor that was proved in a session raises that session. */
const inSession = (
  { sessions }: UserState,
  { sessionId, amr }: { readonly sessionId: string; readonly amr: string[] },
  { nowMs }: Asked,
  proved: Decision<UserEvent>,
): Decision<UserEvent> => {
  const session = held(sessions, sessionId)
  if (!session || session.expiresAt <= nowMs) return ended()
  if (proved.status === 'refused') return proved
  return decided(...proved.events, { type: 'SessionSteppedUp', data: { sessionId, amr, at: nowMs } })
}

type Start = Extract<UserCommand, { type: 'StartSession' }>['data']

/** Expired sessions go when a new one comes, and so does the oldest of too many. A proof is spent in any case. */
const start = (state: UserState, command: Start, { actor: by, nowMs }: Asked): Decision<UserEvent> => {
  const { proof, approvedBy, ...data } = command
  const proved = proof && decideProof(state.factors, proof, { sessionId: data.sessionId, at: nowMs })
  if (proved?.status === 'refused') return proved
  const spent = proved?.events ?? []
  if (held(state.sessions, data.sessionId)) return decided(...spent)
  if (state.ended.includes(data.sessionId)) return ended(...spent)
  const approver = approvedBy === undefined ? undefined : held(state.sessions, approvedBy)
  // whoever signs out takes back what was let in but has not come in yet
  if (approvedBy !== undefined && (!approver || approver.expiresAt <= nowMs)) return ended(...spent)
  const mfaAt = proved ? nowMs : approver?.mfaAt
  if (mfaAt === undefined && hasFactors(state.factors) && !isVouchedFor(data))
    return refused('mfa_required', 'prove a second factor to sign in')
  if (data.expiresAt <= nowMs) return refused('invalid_request', 'expiresAt has passed already')
  const open = Object.entries(state.sessions)
  const expired = open.filter(([, { expiresAt }]) => expiresAt <= nowMs)
  const live = open
    .filter(([, { expiresAt }]) => expiresAt > nowMs)
    .sort(([, a], [, b]) => a.refreshedAt - b.refreshedAt)
  const tooMany = live.slice(0, Math.max(0, live.length - mostSessions + 1))
  return decided(
    ...expired.map(([id]) => end(id, 'expired', by)),
    ...tooMany.map(([id]) => end(id, 'revoked', by)),
    ...spent,
    { type: 'SessionStarted', data: { ...data, ...(mfaAt !== undefined && { mfaAt }) } },
  )
}

/** The tenant's own identity provider let them in, to this tenant: whether it asked for more than one factor is between the two. */
const isVouchedFor = ({ login, tenant }: Start): boolean => login.issuer.startsWith(`omium:sso:${tenant}/`)

type Refresh = Extract<UserCommand, { type: 'RefreshSession' }>['data']

const refresh = (state: UserState, { sessionId, generation }: Refresh, asked: Asked): Decision<UserEvent> => {
  const { actor: by, nowMs } = asked
  const session = held(state.sessions, sessionId)
  if (!session) return ended()
  if (session.expiresAt <= nowMs) return ended(end(sessionId, 'expired', by))
  if (generation === session.generation)
    return decided({ type: 'SessionRefreshed', data: { sessionId, generation: generation + 1, at: nowMs } })
  const lost = generation === session.generation - 1 && nowMs - session.refreshedAt <= graceMs
  if (lost) return decided()
  return refused('refresh_reused', 'this refresh token was used before: sign in again', end(sessionId, 'reused', by))
}
