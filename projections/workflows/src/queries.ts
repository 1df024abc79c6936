import { byId, byTime, keyset, type Page, type Paging, type Reads } from '@omium/projection-kit'
import type { Payload, RunEnd, RunSource, ScheduleSpec, TriggerSpec, WorkflowVersionStatus } from '@omium/schemas'

/**
 * Everything that is read from the workflow read models. Every function takes the tenant first and every statement has it in
 * its WHERE clause: another tenant's rows are as if they did not exist.
 */

export interface WorkflowRecord {
  readonly id: string
  readonly name: string
  readonly description: string | null
  readonly latestVersion: number
  readonly publishedVersion: number | null
  readonly activeRuns: number
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly partition: number
  readonly offset: number
}

export interface VersionRecord {
  readonly version: number
  readonly status: WorkflowVersionStatus
  readonly hash: string
  readonly createdAt: Date
  readonly createdBy: string
  readonly publishedAt: Date | null
  readonly deprecatedAt: Date | null
}

/** of one schedule */
const byMoment = keyset('time')

const workflowColumns = `id, name, description, latest_version AS "latestVersion", published_version AS "publishedVersion",
  active_runs AS "activeRuns", created_at AS "createdAt", updated_at AS "updatedAt", partition, log_offset AS "offset"`

/** By id. */
export const listWorkflows = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: Paging,
): Promise<Page<WorkflowRecord>> => {
  const [after] = byId.after(cursor) ?? ['']
  const { rows } = await reads.query<WorkflowRecord>(
    { tenant },
    `SELECT ${workflowColumns} FROM workflows.workflows WHERE tenant = $1 AND id > $2 AND NOT deleted ORDER BY id LIMIT $3`,
    [tenant, after, limit + 1],
  )
  return byId.page(rows, limit, ({ id }) => [id])
}

export const getWorkflow = async (reads: Reads, tenant: string, id: string): Promise<WorkflowRecord | undefined> => {
  const { rows } = await reads.query<WorkflowRecord>(
    { tenant },
    `SELECT ${workflowColumns} FROM workflows.workflows WHERE tenant = $1 AND id = $2 AND NOT deleted`,
    [tenant, id],
  )
  return rows[0]
}

const versionColumns = `version, status, bundle_hash AS "hash", created_at AS "createdAt", created_by AS "createdBy",
  published_at AS "publishedAt", deprecated_at AS "deprecatedAt"`

export const listVersions = async (
  reads: Reads,
  tenant: string,
  workflow: string,
): Promise<readonly VersionRecord[]> => {
  const { rows } = await reads.query<VersionRecord>(
    { tenant },
    `SELECT ${versionColumns} FROM workflows.versions WHERE tenant = $1 AND workflow = $2 ORDER BY version`,
    [tenant, workflow],
  )
  return rows
}

/** One version with its bundle as recorded; without a number the newest published one. */
export const getVersion = async (
  reads: Reads,
  tenant: string,
  workflow: string,
  version: number | undefined,
): Promise<(VersionRecord & { readonly bundle: Payload }) | undefined> => {
  const { rows } = await reads.query<VersionRecord & { readonly bundle: Payload }>(
    { tenant },
    `SELECT ${versionColumns}, bundle FROM workflows.versions v
     WHERE v.tenant = $1 AND v.workflow = $2 AND ${version === undefined ? `v.status = 'published'` : 'v.version = $3'}
       AND EXISTS (SELECT 1 FROM workflows.workflows w WHERE w.tenant = $1 AND w.id = $2 AND NOT w.deleted)
     ORDER BY version DESC LIMIT 1`,
    [tenant, workflow, ...(version === undefined ? [] : [version])],
  )
  return rows[0]
}

export interface RunRecord {
  readonly id: string
  readonly workflow: string
  readonly version: number
  readonly source: RunSource
  readonly status: 'requested' | 'started' | RunEnd['status']
  readonly ended: RunEnd | null
  readonly requestedAt: Date
  readonly endedAt: Date | null
}

/** Newest first. */
export const listRuns = async (
  reads: Reads,
  tenant: string,
  workflow: string,
  { limit, cursor }: Paging,
): Promise<Page<RunRecord>> => {
  const [before, id] = byTime.after(cursor) ?? ['infinity', '']
  const { rows } = await reads.query<RunRecord>(
    { tenant },
    `SELECT id, workflow, version, source, status, ended, requested_at AS "requestedAt", ended_at AS "endedAt"
     FROM workflows.runs WHERE tenant = $1 AND workflow = $2 AND (requested_at, id) < ($3::timestamptz, $4)
     ORDER BY requested_at DESC, id DESC LIMIT $5`,
    [tenant, workflow, before, id, limit + 1],
  )
  return byTime.page(rows, limit, (row) => [row.requestedAt, row.id])
}

export interface ScheduleRecord {
  readonly id: string
  readonly spec: ScheduleSpec
  readonly status: 'active' | 'paused'
  readonly cursorAt: Date
  readonly fired: number
  readonly skipped: number
  readonly lastFiredAt: Date | null
  readonly partition: number
  readonly offset: number
}

const scheduleColumns = `id, spec, status, cursor_at AS "cursorAt", fired, skipped, last_fired_at AS "lastFiredAt",
  partition, log_offset AS "offset"`

export const listSchedules = async (
  reads: Reads,
  tenant: string,
  { limit, cursor, workflow }: Paging & { workflow?: string | undefined },
): Promise<Page<ScheduleRecord>> => {
  const [after] = byId.after(cursor) ?? ['']
  const { rows } = await reads.query<ScheduleRecord>(
    { tenant },
    `SELECT ${scheduleColumns} FROM workflows.schedules
     WHERE tenant = $1 AND id > $2 AND status <> 'deleted' AND ($3::text IS NULL OR workflow = $3)
     ORDER BY id LIMIT $4`,
    [tenant, after, workflow ?? null, limit + 1],
  )
  return byId.page(rows, limit, ({ id }) => [id])
}

export const getSchedule = async (reads: Reads, tenant: string, id: string): Promise<ScheduleRecord | undefined> => {
  const { rows } = await reads.query<ScheduleRecord>(
    { tenant },
    `SELECT ${scheduleColumns} FROM workflows.schedules WHERE tenant = $1 AND id = $2 AND status <> 'deleted'`,
    [tenant, id],
  )
  return rows[0]
}

export interface FiringRecord {
  readonly nominalAt: Date
  readonly outcome: 'fired' | 'queued' | 'skipped'
  readonly reason: string | null
  readonly count: number
  readonly runId: string | null
  readonly ended: RunEnd | null
}

/** What became of a schedule's moments, newest first. */
export const listFirings = async (
  reads: Reads,
  tenant: string,
  schedule: string,
  { limit, cursor }: Paging,
): Promise<Page<FiringRecord>> => {
  const [before] = byMoment.after(cursor) ?? ['infinity']
  const { rows } = await reads.query<FiringRecord>(
    { tenant },
    `SELECT nominal_at AS "nominalAt", outcome, reason, count, run_id AS "runId", ended FROM workflows.firings
     WHERE tenant = $1 AND schedule = $2 AND nominal_at < $3::timestamptz ORDER BY nominal_at DESC LIMIT $4`,
    [tenant, schedule, before, limit + 1],
  )
  return byMoment.page(rows, limit, (row) => [row.nominalAt])
}

export interface TriggerRecord {
  readonly tenant: string
  readonly id: string
  readonly spec: TriggerSpec
  readonly status: 'active' | 'paused'
  readonly fired: number
  readonly ignored: number
  readonly lastFiredAt: Date | null
  readonly partition: number
  readonly offset: number
}

const triggerColumns = `tenant, id, spec, status, fired, ignored, last_fired_at AS "lastFiredAt", partition,
  log_offset AS "offset"`

export const listTriggers = async (
  reads: Reads,
  tenant: string,
  { limit, cursor }: Paging,
): Promise<Page<TriggerRecord>> => {
  const [after] = byId.after(cursor) ?? ['']
  const { rows } = await reads.query<TriggerRecord>(
    { tenant },
    `SELECT ${triggerColumns} FROM workflows.triggers WHERE tenant = $1 AND id > $2 AND status <> 'deleted'
     ORDER BY id LIMIT $3`,
    [tenant, after, limit + 1],
  )
  return byId.page(rows, limit, ({ id }) => [id])
}

export const getTrigger = async (reads: Reads, tenant: string, id: string): Promise<TriggerRecord | undefined> => {
  const { rows } = await reads.query<TriggerRecord>(
    { tenant },
    `SELECT ${triggerColumns} FROM workflows.triggers WHERE tenant = $1 AND id = $2 AND status <> 'deleted'`,
    [tenant, id],
  )
  return rows[0]
}
