export { type ApiKeyOptions, type ApiKeys, createApiKeys } from './api-keys.ts'
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
export { createMembers, type MemberOptions, type Members } from './members.ts'
export { openPolicies, type Policies } from './policies/policies.ts'
export { inRanges } from './ranges.ts'
export { type Remembered, type RememberOptions, remember } from './remembered.ts'
export { createServiceTokens, notForServices, type ServiceTokens } from './service-tokens.ts'
export { freshProofMs, hasFreshProof, requireFreshProof } from './step-up.ts'
