export { openSignIn, type SignInOptions } from './open.ts'
export type {
  IdentityCommands,
  IdentityReads,
  Kms,
  MembershipRecord,
  PersonalData,
  SessionRecord,
  UserRecord,
} from './ports.ts'
export { requireFreshProof, type SessionCallers } from './session-callers.ts'
export type { AccessClaims } from './tokens/access-tokens.ts'
