import { byId, byTime, keyset, type Page, type Paging, type Reads } from '@omium/projection-kit'
import type {
  CauseLink,
  FailureClass,
  IncidentStatus,
  JsonValue,
  RecoveryPolicy,
  RecoveryStrategy,
} from '@omium/schemas'
import type { IncidentRow } from './incident-row.ts'
import { columnNames, fromStored, type StoredIncident } from './rows.ts'

/**
 * Everything that is read from the recovery read models. Every function takes the tenant first and every statement has it in
 * its WHERE clause: another tenant's rows are as if they did not exist.
 */

export interface IncidentFilter extends Paging {
  readonly status?: IncidentStatus | undefined
  readonly class?: FailureClass | undefined
  readonly fingerprint?: string | undefined
  readonly execution?: string | undefined
}

/** Newest first. @throws OmiumError `invalid_request` for a cursor that this list never gave */
export const listIncidents = async (
  reads: Reads,
  tenant: string,
  filter: IncidentFilter,
): Promise<Page<IncidentRow>> => {
  const { status, class: failureClass, fingerprint, execution, limit, cursor } = filter
  const values: unknown[] = [tenant]
  const bind = (value: unknown) => `$${values.push(value)}`
  const conditions = ['tenant = $1']
  if (status) conditions.push(`status = ${bind(status)}`)
  if (status && !['succeeded', 'given_up', 'dismissed'].includes(status)) {
    // the partial index serves open ones
    conditions.push(`status NOT IN ('succeeded', 'given_up', 'dismissed')`)
  }
  if (failureClass) conditions.push(`class = ${bind(failureClass)}`)
  if (fingerprint) conditions.push(`fingerprint = ${bind(fingerprint)}`)
  if (execution) conditions.push(`execution_id = ${bind(execution)}`)
  const before = byTime.after(cursor)
  if (before) conditions.push(`(opened_at, id) < (${bind(before[0])}::timestamptz, ${bind(before[1])})`)
  const { rows } = await reads.query<StoredIncident>(
    { tenant },
    `SELECT ${columnNames} FROM recoveries.incidents WHERE ${conditions.join(' AND ')}
     ORDER BY opened_at DESC, id DESC LIMIT ${bind(limit + 1)}`,
    values,
  )
  return byTime.page(rows.map(fromStored), limit, ({ openedAt, id }) => [new Date(openedAt), id])
}

export const getIncident = async (reads: Reads, tenant: string, id: string): Promise<IncidentRow | undefined> => {
  const { rows } = await reads.query<StoredIncident>(
    { tenant },
    `SELECT ${columnNames} FROM recoveries.incidents WHERE tenant = $1 AND id = $2`,
    [tenant, id],
  )
  return rows[0] && fromStored(rows[0])
}

export interface HistoryRecord {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly time: Date
  readonly actor: string
  readonly data: JsonValue
}

const longestHistory = 1000

/** Every event of an incident in order: its failures, plans, reasons, answers. */
export const incidentHistory = async (reads: Reads, tenant: string, id: string): Promise<readonly HistoryRecord[]> => {
  const { rows } = await reads.query<HistoryRecord>(
    { tenant },
    `SELECT event_id AS id, type, version, time, actor, data FROM recoveries.history
     WHERE tenant = $1 AND incident_id = $2 ORDER BY version LIMIT $3`,
    [tenant, id, longestHistory],
  )
  return rows
}

export interface GroupRecord {
  readonly fingerprint: string
  readonly class: FailureClass
  readonly agent: string
  readonly code: string
  readonly detail: string
  readonly incidents: number
  readonly open: number
  readonly recovered: number
  readonly runs: number
  readonly firstAt: Date
  readonly lastAt: Date
}

/** Failures that are likely to have one reason, the most frequent first. */
export const listGroups = async (
  reads: Reads,
  tenant: string,
  { since, limit }: { since: Date; limit: number },
): Promise<readonly GroupRecord[]> => {
  // JSON operators refuse text with U+0000, which is recorded as it came
  const { rows } = await reads.query<Omit<GroupRecord, 'code' | 'detail'> & { rootCause: CauseLink }>(
    { tenant },
    `WITH counted AS (
       SELECT fingerprint, count(*)::int AS incidents,
              (count(*) FILTER (WHERE status NOT IN ('succeeded', 'given_up', 'dismissed')))::int AS open,
              (count(*) FILTER (WHERE status = 'succeeded'))::int AS recovered,
              count(DISTINCT execution_id)::int AS runs,
              min(opened_at) AS "firstAt", max(opened_at) AS "lastAt"
       FROM recoveries.incidents WHERE tenant = $1 AND opened_at >= $2 AND fingerprint IS NOT NULL
       GROUP BY fingerprint ORDER BY incidents DESC, "lastAt" DESC LIMIT $3)
     SELECT c.*, latest.class, latest.agent, latest.root_cause AS "rootCause"
     FROM counted c
     JOIN LATERAL (
       SELECT class, agent, root_cause FROM recoveries.incidents i
       WHERE i.tenant = $1 AND i.fingerprint = c.fingerprint ORDER BY opened_at DESC, id DESC LIMIT 1) latest ON true
     ORDER BY c.incidents DESC, c."lastAt" DESC`,
    [tenant, since, limit],
  )
  return rows.map(({ rootCause, ...group }) => ({ ...group, code: rootCause.code, detail: rootCause.detail }))
}

export interface StatisticRecord {
  readonly class: FailureClass
  readonly strategy: RecoveryStrategy
  readonly tries: number
  readonly successes: number
  /** from the failure to the moment when the run got past it; null when it never did */
  readonly recoveredInP50Ms: number | null
  readonly recoveredInP99Ms: number | null
}

/** What was tried for which class of failure, how often it helped, and how long it took. */
export const recoveryStatistics = async (
  reads: Reads,
  tenant: string,
  { since, fingerprint }: { since: Date; fingerprint?: string | undefined },
): Promise<readonly StatisticRecord[]> => {
  const { rows } = await reads.query<StatisticRecord>(
    { tenant },
    `SELECT class, strategy, count(*)::int AS tries, (count(*) FILTER (WHERE succeeded))::int AS successes,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY recovered_in_ms) AS "recoveredInP50Ms",
            percentile_cont(0.99) WITHIN GROUP (ORDER BY recovered_in_ms) AS "recoveredInP99Ms"
     FROM recoveries.tries WHERE tenant = $1 AND time >= $2 AND ($3::text IS NULL OR fingerprint = $3)
     GROUP BY class, strategy ORDER BY class, tries DESC, strategy`,
    [tenant, since, fingerprint ?? null],
  )
  return rows
}

export interface PolicyRecord {
  readonly name: string
  readonly version: number
  /** the version in force, and whether the policy is retired */
  readonly head: number
  readonly retired: boolean
  readonly policy: RecoveryPolicy
  readonly note: string | null
  readonly publishedBy: string
  readonly publishedAt: Date
}

const policyColumns = `p.name, p.version, h.version AS head, h.retired, p.policy, p.note, p.published_by AS "publishedBy",
  p.published_at AS "publishedAt"`

/** The newest version of every policy, by name. */
export const listPolicies = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: Paging,
): Promise<Page<PolicyRecord>> => {
  const [after = null] = byId.after(cursor) ?? []
  const { rows } = await reads.query<PolicyRecord>(
    { tenant },
    `SELECT ${policyColumns} FROM recoveries.policy_heads h JOIN recoveries.policies p USING (tenant, name)
     WHERE tenant = $1 AND p.version = h.version AND ($2::text IS NULL OR name > $2) ORDER BY name LIMIT $3`,
    [tenant, after, limit + 1],
  )
  return byId.page(rows, limit, ({ name }) => [name])
}

/** how versions of a policy are listed, newest first */
export const byVersion = keyset('integer')

/** Versions of a policy, newest first; none when there is none of this name. */
export const policyVersions = async (
  reads: Reads,
  tenant: string,
  name: string,
  { limit, cursor }: Paging,
): Promise<Page<PolicyRecord>> => {
  const [before = null] = byVersion.after(cursor) ?? []
  const { rows } = await reads.query<PolicyRecord>(
    { tenant },
    `SELECT ${policyColumns} FROM recoveries.policies p JOIN recoveries.policy_heads h USING (tenant, name)
     WHERE tenant = $1 AND name = $2 AND ($3::int IS NULL OR p.version < $3) ORDER BY p.version DESC LIMIT $4`,
    [tenant, name, before, limit + 1],
  )
  return byVersion.page(rows, limit, ({ version }) => [version])
}
