export { openSignIn, type SignInOptions } from './open.ts'
export type { IdentityCommands } from './ports.ts'
export { requireFreshProof, type SessionCallers } from './session-callers.ts'
export type { AccessClaims } from './tokens/access-tokens.ts'
