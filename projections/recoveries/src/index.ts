export { recoveriesProjection } from './definition.ts'
export type { IncidentRow } from './incident-row.ts'
export {
  byVersion,
  type GroupRecord,
  getIncident,
  type HistoryRecord,
  type IncidentFilter,
  incidentHistory,
  listGroups,
  listIncidents,
  listPolicies,
  type PolicyRecord,
  policyVersions,
  recoveryStatistics,
  type StatisticRecord,
} from './queries.ts'
