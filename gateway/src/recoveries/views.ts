import type {
  GroupRecord,
  HistoryRecord,
  IncidentRow,
  PolicyRecord,
  StatisticRecord,
} from '@omium/projection-recoveries'
import type {
  FailureGroupView,
  IncidentDetail,
  IncidentView,
  RecoveryPolicyView,
  RecoveryStatisticView,
} from '@omium/schemas'

/** Records of the recovery read models in the shapes of the API. */

const iso = (ms: number): string => new Date(ms).toISOString()

export const incidentViewOf = (row: IncidentRow): IncidentView => ({
  id: row.id,
  executionId: row.executionId,
  agent: row.agent,
  status: row.status,
  ...(row.class && { class: row.class }),
  ...(row.classifiedBy !== null && { classifiedBy: row.classifiedBy }),
  ...(row.fingerprint !== null && { fingerprint: row.fingerprint }),
  ...(row.rootCause && { rootCause: row.rootCause }),
  ...(row.chain && { chain: [...row.chain] }),
  ...(row.error && { error: row.error }),
  ...(row.step && { step: row.step }),
  ...(row.strategy &&
    row.action && {
      plan: {
        number: row.plan,
        strategy: row.strategy,
        action: row.action,
        policy: { name: row.policy ?? 'default', version: row.policyVersion ?? 0 },
      },
    }),
  ...(row.why !== null && { why: row.why }),
  attempts: row.attempts,
  costMicroCredits: row.costMicroCredits,
  ...(row.until !== null && { until: iso(row.until) }),
  openedAt: iso(row.openedAt),
  updatedAt: iso(row.updatedAt),
  ...(row.closedAt !== null && { closedAt: iso(row.closedAt) }),
  ...(row.recoveredInMs !== null && { recoveredInMs: row.recoveredInMs }),
  position: `${row.partition}:${row.offset}`,
})

export const incidentDetailOf = (row: IncidentRow, history: readonly HistoryRecord[]): IncidentDetail => ({
  ...incidentViewOf(row),
  history: history.map(({ time, ...event }) => ({ ...event, time: time.toISOString() })),
})

export const groupViewOf = ({ firstAt, lastAt, ...group }: GroupRecord): FailureGroupView => ({
  ...group,
  firstAt: firstAt.toISOString(),
  lastAt: lastAt.toISOString(),
})

export const statisticViewOf = (record: StatisticRecord): RecoveryStatisticView => {
  const { recoveredInP50Ms, recoveredInP99Ms, ...rest } = record
  return {
    ...rest,
    successRate: record.tries === 0 ? 0 : record.successes / record.tries,
    ...(recoveredInP50Ms !== null && { recoveredInP50Ms }),
    ...(recoveredInP99Ms !== null && { recoveredInP99Ms }),
  }
}

export const policyViewOf = (record: PolicyRecord): RecoveryPolicyView => ({
  name: record.name,
  version: record.version,
  inForce: !record.retired && record.version === record.head,
  policy: record.policy,
  ...(record.note !== null && { note: record.note }),
  publishedBy: record.publishedBy,
  publishedAt: record.publishedAt.toISOString(),
})
