import type {
  FailureClass,
  FailureGroupView,
  IncidentDecision,
  IncidentDetail,
  IncidentReceipt,
  IncidentStatus,
  IncidentView,
  PolicyReceipt,
  PolicyVerdictView,
  RecoveryPolicyView,
  RecoveryStatisticView,
} from '@omium/schemas'
import type { Http } from './http.ts'
import { pages } from './pages.ts'

export interface IncidentFilter {
  status?: IncidentStatus
  class?: FailureClass
  fingerprint?: string
  execution?: string
  /** size of the pages that are fetched, 1 to 200 */
  pageSize?: number
}

export interface Recoveries {
  /** All incidents that fit, newest first, fetched page by page. */
  list(filter?: IncidentFilter): AsyncIterable<IncidentView>
  /** An incident with its whole history. `minPosition`: of a receipt whose change has to be in it. */
  get(id: string, options?: { minPosition?: string }): Promise<IncidentDetail>
  /** Failures that are likely to have one reason, of the last `hours`. */
  groups(options?: { hours?: number; limit?: number }): Promise<FailureGroupView[]>
  /** What was tried, how often it helped and how long that took, in the last `hours`. */
  stats(options?: { hours?: number; fingerprint?: string }): Promise<RecoveryStatisticView[]>
  /** Answers an incident that waits for a person. @throws OmiumError `incident_unknown`, `incident_not_undecided` */
  decide(id: string, action: IncidentDecision, reason?: string): Promise<IncidentReceipt>
}

export const recoveriesOf = (http: Http): Recoveries => ({
  list: ({ pageSize, ...filter } = {}) => pages(http, 'GET /v1/recoveries', { query: { ...filter, limit: pageSize } }),
  get: (id, { minPosition } = {}) =>
    http.call('GET /v1/recoveries/{id}', { path: { id }, query: { min_position: minPosition } }),
  groups: async (query = {}) => (await http.call('GET /v1/recoveries/groups', { query })).items,
  stats: async (query = {}) => (await http.call('GET /v1/recoveries/stats', { query })).items,
  decide: (id, action, reason) =>
    http.call('POST /v1/recoveries/{id}/decide', { path: { id }, body: { action, reason } }),
})

export interface RecoveryPolicies {
  /** The newest version of each. */
  list(): Promise<RecoveryPolicyView[]>
  /** All versions, newest first. @throws OmiumError `not_found` */
  versions(name: string): Promise<RecoveryPolicyView[]>
  /** Publishes a version. @throws OmiumError `invalid_request` naming every bad place, `policy_conflict` */
  publish(name: string, policy: unknown, options?: { note?: string; expectedVersion?: number }): Promise<PolicyReceipt>
  retire(name: string): Promise<PolicyReceipt>
  validate(policy: unknown): Promise<PolicyVerdictView>
}

export const recoveryPoliciesOf = (http: Http): RecoveryPolicies => ({
  list: () => Array.fromAsync(pages(http, 'GET /v1/recovery-policies', { query: { limit: 200 } })),
  versions: (name) =>
    Array.fromAsync(pages(http, 'GET /v1/recovery-policies/{name}', { path: { name }, query: { limit: 200 } })),
  publish: (name, policy, options = {}) =>
    http.call('PUT /v1/recovery-policies/{name}', { path: { name }, body: { policy, ...options } }),
  retire: (name) => http.call('DELETE /v1/recovery-policies/{name}', { path: { name } }),
  validate: (policy) => http.call('POST /v1/recovery-policies/validate', { body: { policy } }),
})
