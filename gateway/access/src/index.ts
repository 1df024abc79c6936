export { type ApiKeyOptions, type ApiKeys, createApiKeys } from './api-keys.ts'
export {
  type Caller,
  type KeyLimits,
  reaches,
  reachesWorkflow,
  type SessionCaller,
  type SessionCallers,
} from './caller.ts'
export {
  callerOf,
  type GuardParts,
  installGuard,
  type RoutePermission,
  type RouteRule,
  requirePermission,
  routeRules,
} from './guard.ts'
export { createMembers, type MemberOptions, type Members } from './members.ts'
export { inRanges } from './ranges.ts'
export { type Remembered, type RememberOptions, remember } from './remembered.ts'
export { freshProofMs, requireFreshProof } from './step-up.ts'
