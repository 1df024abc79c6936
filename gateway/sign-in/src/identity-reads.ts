import {
  deviceGrantOfCode,
  factorsOf,
  getDeviceGrant,
  getSession,
  getUser,
  membershipsOf,
  recoveryCodesOf,
  sessionsOf,
  ssoConnectionById,
  ssoConnectionOfDomain,
  userOfAddress,
  userOfLogin,
} from '@omium/projection-identity'
import type { Reads } from '@omium/projection-kit'
import type { IdentityReads } from './ports.ts'

/** The read model in PostgreSQL. */
export const createIdentityReads = (reads: Reads): IdentityReads => ({
  userOfAddress: (address) => userOfAddress(reads, address),
  userOfLogin: (login) => userOfLogin(reads, login),
  user: (userId) => getUser(reads, userId),
  memberships: (userId) => membershipsOf(reads, userId),
  session: (userId, sessionId) => getSession(reads, userId, sessionId),
  sessions: (userId) => sessionsOf(reads, userId),
  deviceGrant: (id) => getDeviceGrant(reads, id),
  deviceGrantOfCode: (code) => deviceGrantOfCode(reads, code),
  factors: (userId) => factorsOf(reads, userId),
  recoveryCodes: (userId) => recoveryCodesOf(reads, userId),
  ssoConnection: (id) => ssoConnectionById(reads, id),
  ssoConnectionOfDomain: (domain) => ssoConnectionOfDomain(reads, domain),
})
