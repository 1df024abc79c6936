export type { ApiKeys } from './api-keys.ts'
export {
  type Caller,
  createEndedSessions,
  type EndedSessions,
  type KeyLimits,
  reaches,
  reachesWorkflow,
  type SessionCaller,
  type SessionCallers,
} from './caller.ts'
export type { RightsChange } from './follow-access.ts'
export { type NewKey, requireMayAppoint, requireMayGive } from './giving.ts'
export {
  callerOf,
  type GuardParts,
  identify,
  installGuard,
  type RoutePermission,
  type RouteRule,
  requirePermission,
  routeRules,
} from './guard.ts'
export { inHours } from './hours.ts'
export type { Members } from './members.ts'
export { type InstalledPolicies, openPolicies } from './policies/installed.ts'
export type { PolicedPart, Policies } from './policies/policies.ts'
export { inRanges } from './ranges.ts'
export { type RememberOptions, remember } from './remembered.ts'
export { createRights, type Rights } from './rights.ts'
export { createServiceTokens, notForServices, type ServiceTokens } from './service-tokens.ts'
export { freshProofMs, hasFreshProof, requireFreshProof } from './step-up.ts'
