import { storable } from '@omium/projection-kit'
import type { IncidentRow } from './incident-row.ts'

/** Incidents as rows of their table. */

/** name and type of each column, in one order for reading and writing */
export const incidentColumns = [
  ['tenant', 'text'],
  ['id', 'text'],
  ['execution_id', 'text'],
  ['agent', 'text'],
  ['status', 'text'],
  ['class', 'text'],
  ['classified_by', 'text'],
  ['fingerprint', 'text'],
  ['root_cause', 'json'],
  ['chain', 'json'],
  ['error', 'json'],
  ['step', 'json'],
  ['plan', 'int'],
  ['strategy', 'text'],
  ['action', 'json'],
  ['why', 'text'],
  ['policy', 'text'],
  ['policy_version', 'int'],
  ['attempts', 'int'],
  ['cost_micro_credits', 'bigint'],
  ['until', 'timestamptz'],
  ['opened_at', 'timestamptz'],
  ['updated_at', 'timestamptz'],
  ['closed_at', 'timestamptz'],
  ['recovered_in_ms', 'bigint'],
  ['version', 'int'],
  ['partition', 'int'],
  ['log_offset', 'bigint'],
] as const
type Column = (typeof incidentColumns)[number][0]

export const columnNames = incidentColumns.map(([name]) => name).join(', ')

export interface StoredIncident {
  tenant: string
  id: string
  execution_id: string
  agent: string
  status: IncidentRow['status']
  class: IncidentRow['class']
  classified_by: string | null
  fingerprint: string | null
  root_cause: IncidentRow['rootCause']
  chain: IncidentRow['chain']
  error: IncidentRow['error']
  step: IncidentRow['step']
  plan: number
  strategy: IncidentRow['strategy']
  action: IncidentRow['action']
  why: string | null
  policy: string | null
  policy_version: number | null
  attempts: number
  cost_micro_credits: number
  until: Date | null
  opened_at: Date
  updated_at: Date
  closed_at: Date | null
  recovered_in_ms: number | null
  version: number
  partition: number
  log_offset: number
}

const text = (value: string | null): string | null => (value === null ? null : storable(value))
const json = (value: unknown): string | null => (value === null || value === undefined ? null : JSON.stringify(value))
/** later years are written in a way that Postgres does not read */
const latestMs = Date.UTC(9999, 11, 31)
const time = (ms: number | null): string | null => (ms === null ? null : new Date(Math.min(ms, latestMs)).toISOString())

export const toStored = (row: IncidentRow): Record<Column, string | number | null> => ({
  tenant: row.tenant,
  id: row.id,
  execution_id: row.executionId,
  agent: row.agent,
  status: row.status,
  class: row.class,
  classified_by: text(row.classifiedBy),
  fingerprint: row.fingerprint,
  root_cause: json(row.rootCause),
  chain: json(row.chain),
  error: json(row.error),
  step: json(row.step),
  plan: row.plan,
  strategy: row.strategy,
  action: json(row.action),
  why: text(row.why),
  policy: row.policy,
  policy_version: row.policyVersion,
  attempts: row.attempts,
  cost_micro_credits: row.costMicroCredits,
  until: time(row.until),
  opened_at: time(row.openedAt),
  updated_at: time(row.updatedAt),
  closed_at: time(row.closedAt),
  recovered_in_ms: row.recoveredInMs,
  version: row.version,
  partition: row.partition,
  log_offset: row.offset,
})

export const fromStored = (row: StoredIncident): IncidentRow => ({
  tenant: row.tenant,
  id: row.id,
  executionId: row.execution_id,
  agent: row.agent,
  status: row.status,
  class: row.class,
  classifiedBy: row.classified_by,
  fingerprint: row.fingerprint,
  rootCause: row.root_cause,
  chain: row.chain,
  error: row.error,
  step: row.step,
  plan: row.plan,
  strategy: row.strategy,
  action: row.action,
  why: row.why,
  policy: row.policy,
  policyVersion: row.policy_version,
  attempts: row.attempts,
  costMicroCredits: row.cost_micro_credits,
  until: row.until?.getTime() ?? null,
  openedAt: row.opened_at.getTime(),
  updatedAt: row.updated_at.getTime(),
  closedAt: row.closed_at?.getTime() ?? null,
  recoveredInMs: row.recovered_in_ms,
  version: row.version,
  partition: row.partition,
  offset: row.log_offset,
})
