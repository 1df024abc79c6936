export {
  type ApiKeyEntry,
  type ApiKeyRecord,
  apiKeysById,
  getApiKey,
  listApiKeys,
  noteApiKeyUse,
} from './api-keys.ts'
export { identityProjection } from './definition.ts'
export { type DeviceGrantRecord, deviceGrantOfCode, getDeviceGrant } from './device-grants.ts'
export { type ErasureRecord, getErasure } from './erasures.ts'
export { type FactorRecord, factorKindsOf, factorsOf, recoveryCodesOf } from './factors.ts'
export {
  type DomainRecord,
  getDomain,
  getSsoConnection,
  listDomains,
  listSsoConnections,
  type SsoConnectionRecord,
  type SsoDemand,
  ssoConnectionById,
  ssoConnectionOfDomain,
  ssoDemandOn,
  ssoIsRequired,
} from './sso.ts'
export {
  getMember,
  getTenant,
  type InvitationRecord,
  invitationsOf,
  listInvitations,
  listMembers,
  type MemberRecord,
  type Membership,
  membershipIn,
  type TenantRecord,
} from './tenants.ts'
export {
  getSession,
  getUser,
  type LoginRecord,
  loginsOf,
  type MembershipRecord,
  membershipsOf,
  type SessionRecord,
  sessionsOf,
  type UserRecord,
  userOfAddress,
  userOfLogin,
} from './users.ts'
