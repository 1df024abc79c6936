import type { Reads } from '@omium/projection-kit'
import type { Login, Role } from '@omium/schemas'

/** Users and their sessions, which belong to no tenant but to a person. Addresses and names come sealed. */

export const userOfAddress = async (reads: Reads, digest: string): Promise<string | undefined> => {
  const { rows } = await reads.query<{ userId: string }>(
    {},
    'SELECT user_id AS "userId" FROM access.user_of_address($1)',
    [digest],
  )
  return rows[0]?.userId
}

export const userOfLogin = async (reads: Reads, { method, issuer, subject }: Login): Promise<string | undefined> => {
  const { rows } = await reads.query<{ userId: string }>(
    {},
    'SELECT user_id AS "userId" FROM access.user_of_login($1, $2, $3)',
    [method, issuer, subject],
  )
  return rows[0]?.userId
}

export interface UserRecord {
  readonly id: string
  /** digest */
  readonly address: string
  /** sealed; null when they were erased, as the name is */
  readonly email: string | null
  /** sealed */
  readonly name: string | null
  /** the tenant that was founded with them */
  readonly tenant: string | null
  readonly registeredAt: Date
  readonly erasedAt: Date | null
}

export const getUser = async (reads: Reads, userId: string): Promise<UserRecord | undefined> => {
  const { rows } = await reads.query<UserRecord>(
    { user: userId },
    `SELECT id, address, email, name, tenant, registered_at AS "registeredAt", erased_at AS "erasedAt"
     FROM identity.users WHERE id = $1`,
    [userId],
  )
  return rows[0]
}

export interface LoginRecord {
  readonly method: string
  readonly issuer: string
  readonly linkedAt: Date
}

/** The ways in of a user. */
export const loginsOf = async (reads: Reads, userId: string): Promise<readonly LoginRecord[]> => {
  const { rows } = await reads.query<LoginRecord>(
    { user: userId },
    `SELECT method, issuer, linked_at AS "linkedAt" FROM identity.logins WHERE user_id = $1
     ORDER BY linked_at, method, issuer LIMIT 100`,
    [userId],
  )
  return rows
}

export interface MembershipRecord {
  readonly tenant: string
  readonly name: string
  readonly role: Role
  /** the tenant demands a second factor */
  readonly mfaRequired: boolean
}

/** The tenants of a user, by name. */
export const membershipsOf = async (reads: Reads, userId: string): Promise<readonly MembershipRecord[]> => {
  const { rows } = await reads.query<MembershipRecord>(
    { user: userId },
    `SELECT m.tenant, t.name, m.role, t.mfa_required AS "mfaRequired"
     FROM identity.memberships m JOIN identity.tenants t USING (tenant)
     WHERE m.user_id = $1 ORDER BY t.name, m.tenant LIMIT 1000`,
    [userId],
  )
  return rows
}

export interface SessionRecord {
  readonly id: string
  readonly userId: string
  readonly tenant: string
  readonly login: Login
  readonly amr: readonly string[]
  readonly client: 'browser' | 'cli'
  readonly authenticatedAt: Date
  readonly mfaAt: Date | null
  readonly startedAt: Date
  readonly refreshedAt: Date
  readonly expiresAt: Date
  readonly generation: number
  readonly endedAt: Date | null
  readonly endedWhy: string | null
}

const sessionColumns = `id, user_id AS "userId", tenant, amr, client, authenticated_at AS "authenticatedAt",
  mfa_at AS "mfaAt",
  json_build_object('method', method, 'issuer', issuer, 'subject', subject) AS login,
  started_at AS "startedAt", refreshed_at AS "refreshedAt", expires_at AS "expiresAt", generation,
  ended_at AS "endedAt", ended_why AS "endedWhy"`

export const getSession = async (
  reads: Reads,
  userId: string,
  sessionId: string,
): Promise<SessionRecord | undefined> => {
  const { rows } = await reads.query<SessionRecord>(
    { user: userId },
    {
      name: 'session-by-id',
      text: `SELECT ${sessionColumns} FROM identity.sessions WHERE user_id = $1 AND id = $2`,
      values: [userId, sessionId],
    },
  )
  return rows[0]
}

/** Those that have not ended, newest first; some may have expired. */
export const sessionsOf = async (reads: Reads, userId: string): Promise<readonly SessionRecord[]> => {
  const { rows } = await reads.query<SessionRecord>(
    { user: userId },
    `SELECT ${sessionColumns} FROM identity.sessions WHERE user_id = $1 AND ended_at IS NULL
     ORDER BY started_at DESC, id DESC LIMIT 100`,
    [userId],
  )
  return rows
}
