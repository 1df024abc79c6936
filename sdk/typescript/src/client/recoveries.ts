import {
  type FailureClass,
  type FailureGroupView,
  failureGroupView,
  type IncidentDecision,
  type IncidentDetail,
  type IncidentReceipt,
  type IncidentStatus,
  type IncidentView,
  incidentDetail,
  incidentReceipt,
  incidentView,
  type PolicyReceipt,
  type PolicyVerdictView,
  page,
  policyReceipt,
  policyVerdictView,
  type RecoveryPolicyView,
  type RecoveryStatisticView,
  recoveryPolicyView,
  recoveryStatisticView,
} from '@omium/schemas'
import { z } from 'zod'
import type { Http } from './http.ts'
import { pages } from './pages.ts'

const incidentsPage = page(incidentView)
const groups = z.object({ items: z.array(failureGroupView) })
const statistics = z.object({ items: z.array(recoveryStatisticView) })
const policies = z.object({ items: z.array(recoveryPolicyView) })

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
  list: ({ pageSize, ...filter } = {}) => pages(http, '/v1/recoveries', incidentsPage, { ...filter, limit: pageSize }),
  get: async (id, { minPosition } = {}) => {
    const query = { min_position: minPosition }
    return incidentDetail.parse(await http.json('GET', `/v1/recoveries/${encodeURIComponent(id)}`, { query }))
  },
  groups: async (query = {}) =>
    groups.parse(await http.json('GET', '/v1/recoveries/groups', { query: { ...query } })).items,
  stats: async (query = {}) =>
    statistics.parse(await http.json('GET', '/v1/recoveries/stats', { query: { ...query } })).items,
  decide: async (id, action, reason) => {
    const body = { action, ...(reason !== undefined && { reason }) }
    const path = `/v1/recoveries/${encodeURIComponent(id)}/decide`
    return incidentReceipt.parse(await http.json('POST', path, { body }))
  },
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

export const recoveryPoliciesOf = (http: Http): RecoveryPolicies => {
  const base = '/v1/recovery-policies'
  const of = (name: string) => `${base}/${encodeURIComponent(name)}`
  const write = async (method: string, name: string, body?: unknown): Promise<PolicyReceipt> =>
    policyReceipt.parse(await http.json(method, of(name), { body }))
  return {
    list: async () => policies.parse(await http.json('GET', base)).items,
    versions: async (name) => policies.parse(await http.json('GET', of(name))).items,
    publish: (name, policy, options = {}) => write('PUT', name, { policy, ...options }),
    retire: (name) => write('DELETE', name),
    validate: async (policy) =>
      policyVerdictView.parse(await http.json('POST', `${base}/validate`, { body: { policy } })),
  }
}
