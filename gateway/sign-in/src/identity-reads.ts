import {
  getSession,
  getUser,
  membershipsOf,
  sessionsOf,
  ssoConnectionById,
  ssoConnectionOfDomain,
  userOfAddress,
  userOfLogin,
} from '@omium/projection-identity'
import type { Pool } from 'pg'
import type { IdentityReads } from './ports.ts'

/** The read model in PostgreSQL. */
export const createIdentityReads = (pool: Pool): IdentityReads => ({
  userOfAddress: (address) => userOfAddress(pool, address),
  userOfLogin: (login) => userOfLogin(pool, login),
  user: (userId) => getUser(pool, userId),
  memberships: (userId) => membershipsOf(pool, userId),
  session: (sessionId) => getSession(pool, sessionId),
  sessions: (userId) => sessionsOf(pool, userId),
  ssoConnection: (id) => ssoConnectionById(pool, id),
  ssoConnectionOfDomain: (domain) => ssoConnectionOfDomain(pool, domain),
})
