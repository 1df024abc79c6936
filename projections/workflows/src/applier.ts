import { type Applier, applyEach, type Place } from '@omium/projection-kit'
import {
  type ScheduleEvent,
  scheduleEvents,
  type TriggerEvent,
  triggerEvents,
  type WorkflowEvent,
  workflowEvents,
} from '@omium/schemas'

/**
 * Writes accepted events of the workflow context into its read models, one statement or two for each: definitions, moments
 * and triggers are few beside the steps of executions.
 */
export const createApplier = (): Applier =>
  applyEach(async (place, { type, data }) => {
    if (type in workflowEvents) await applyWorkflow(place, { type, data } as WorkflowEvent)
    else if (type in scheduleEvents) await applySchedule(place, { type, data } as ScheduleEvent)
    else if (type in triggerEvents) await applyTrigger(place, { type, data } as TriggerEvent)
  })

/** `$1` is the tenant, `$2` the aggregate's id, the rest follows. */
const run = (place: Place, sql: string, values: readonly unknown[] = []): Promise<void> =>
  place.run(sql, place.tenant, place.id, ...values)

const positionOf = ({ version, partition, offset }: Place) => [version, partition, offset] as const

/** The aggregate's row is true up to this event. */
const touch = (place: Place, table: 'workflows' | 'schedules' | 'triggers') =>
  run(place, `UPDATE @${table} SET version = $3, log_offset = $4 WHERE tenant = $1 AND id = $2`, [
    place.version,
    place.offset,
  ])

const time = (ms: number): string => new Date(ms).toISOString()

const applyWorkflow = async (place: Place, { type, data }: WorkflowEvent): Promise<void> => {
  switch (type) {
    case 'WorkflowVersionCreated':
      await run(
        place,
        `INSERT INTO @workflows (tenant, id, name, description, latest_version, active_runs, deleted, created_at, updated_at,
           version, partition, log_offset)
         VALUES ($1, $2, $3, $4, $5, 0, false, $6, $6, $7, $8, $9)
         ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, description = excluded.description,
           latest_version = excluded.latest_version, deleted = false, updated_at = excluded.updated_at`,
        [data.name, data.description ?? null, data.version, place.at, ...positionOf(place)],
      )
      await run(
        place,
        `INSERT INTO @versions (tenant, workflow, version, status, bundle, bundle_hash, created_at, created_by)
         VALUES ($1, $2, $3, 'draft', $4, $5, $6, $7)`,
        [data.version, JSON.stringify(data.bundle), data.bundleHash, place.at, data.by],
      )
      break
    case 'WorkflowVersionPublished':
    case 'WorkflowVersionDeprecated': {
      const [status, column] =
        type === 'WorkflowVersionPublished' ? ['published', 'published_at'] : ['deprecated', 'deprecated_at']
      await run(
        place,
        `UPDATE @versions SET status = '${status}', ${column} = $4 WHERE tenant = $1 AND workflow = $2 AND version = $3`,
        [data.version, place.at],
      )
      await run(
        place,
        `UPDATE @workflows SET updated_at = $3, published_version =
           (SELECT max(v.version) FROM @versions v WHERE v.tenant = $1 AND v.workflow = $2 AND v.status = 'published')
         WHERE tenant = $1 AND id = $2`,
        [place.at],
      )
      break
    }
    case 'WorkflowDeleted':
      await run(
        place,
        `UPDATE @workflows SET deleted = true, published_version = NULL, updated_at = $3 WHERE tenant = $1 AND id = $2`,
        [place.at],
      )
      await run(
        place,
        `UPDATE @versions SET status = 'deprecated', deprecated_at = $3
         WHERE tenant = $1 AND workflow = $2 AND status <> 'deprecated'`,
        [place.at],
      )
      break
    case 'WorkflowRunRequested':
      await run(
        place,
        `INSERT INTO @runs (tenant, workflow, id, version, source, status, requested_at)
         VALUES ($1, $2, $3, $4, $5, 'requested', $6)
         ON CONFLICT (tenant, id) DO UPDATE SET version = excluded.version, source = excluded.source, status = excluded.status,
           requested_at = excluded.requested_at, ended = NULL, ended_at = NULL`,
        [data.runId, data.version, JSON.stringify(data.source), place.at],
      )
      await run(place, 'UPDATE @workflows SET active_runs = active_runs + 1 WHERE tenant = $1 AND id = $2')
      break
    case 'WorkflowRunStarted':
      await run(
        place,
        `UPDATE @runs SET status = 'started' WHERE tenant = $1 AND workflow = $2 AND id = $3 AND status = 'requested'`,
        [data.runId],
      )
      break
    case 'WorkflowRunEnded':
      await run(
        place,
        `UPDATE @runs SET status = $4, ended = $5, ended_at = $6 WHERE tenant = $1 AND workflow = $2 AND id = $3`,
        [data.runId, data.end.status, JSON.stringify(data.end), place.at],
      )
      await run(place, 'UPDATE @workflows SET active_runs = active_runs - 1 WHERE tenant = $1 AND id = $2')
      break
    case 'WorkflowRunSuperseded':
    case 'WorkflowRunReported':
    case 'WorkflowSubscribed':
    case 'WorkflowUnsubscribed':
      break
  }
  await touch(place, 'workflows')
}

const firing = `INSERT INTO @firings (tenant, schedule, nominal_at, outcome, reason, count, run_id)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT (tenant, schedule, nominal_at) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason,
    count = excluded.count, run_id = excluded.run_id`

const applySchedule = async (place: Place, { type, data }: ScheduleEvent): Promise<void> => {
  const status = (to: string) => run(place, `UPDATE @schedules SET status = '${to}' WHERE tenant = $1 AND id = $2`)
  const moved = (at: number, more = '') =>
    run(place, `UPDATE @schedules SET cursor_at = greatest(cursor_at, $3)${more} WHERE tenant = $1 AND id = $2`, [
      time(at),
    ])
  switch (type) {
    case 'SchedulePut':
      await run(
        place,
        `INSERT INTO @schedules (tenant, id, workflow, spec, status, cursor_at, fired, skipped, version, partition, log_offset)
         VALUES ($1, $2, $3, $4, 'active', $5, 0, 0, $6, $7, $8)
         ON CONFLICT (tenant, id) DO UPDATE SET workflow = excluded.workflow, spec = excluded.spec,
           status = CASE WHEN schedules.status = 'deleted' THEN 'active' ELSE schedules.status END,
           cursor_at = greatest(schedules.cursor_at, excluded.cursor_at)`,
        [data.spec.workflow, JSON.stringify(data.spec), time(data.from), ...positionOf(place)],
      )
      break
    case 'SchedulePaused':
      await status('paused')
      break
    case 'ScheduleResumed':
      await status('active')
      await moved(data.from)
      break
    case 'ScheduleDeleted':
      await status('deleted')
      // what waited for its turn does not get one any more
      await run(
        place,
        `WITH dropped AS (
           UPDATE @firings SET outcome = 'skipped', reason = 'deleted'
           WHERE tenant = $1 AND schedule = $2 AND outcome = 'queued' RETURNING count)
         UPDATE @schedules SET skipped = skipped + (SELECT coalesce(sum(count), 0) FROM dropped) WHERE tenant = $1 AND id = $2`,
      )
      break
    case 'ScheduleFired':
      await run(place, firing, [time(data.nominalAt), 'fired', data.late ? 'late' : null, 1, data.runId])
      await moved(data.nominalAt, ', fired = fired + 1, last_fired_at = $3')
      break
    case 'ScheduleQueued':
      await run(place, firing, [time(data.nominalAt), 'queued', data.late ? 'late' : null, 1, null])
      await moved(data.nominalAt)
      break
    case 'ScheduleSkipped':
      await run(place, firing, [time(data.from), 'skipped', data.reason, data.count, null])
      await moved(data.to)
      await run(place, 'UPDATE @schedules SET skipped = skipped + $3 WHERE tenant = $1 AND id = $2', [data.count])
      break
    case 'ScheduledRunEnded':
      await run(place, 'UPDATE @firings SET ended = $4 WHERE tenant = $1 AND schedule = $2 AND run_id = $3', [
        data.runId,
        JSON.stringify(data.end),
      ])
      break
    case 'ScheduledRunRequested':
      break
  }
  await touch(place, 'schedules')
}

const applyTrigger = async (place: Place, { type, data }: TriggerEvent): Promise<void> => {
  const status = (to: string) => run(place, `UPDATE @triggers SET status = '${to}' WHERE tenant = $1 AND id = $2`)
  switch (type) {
    case 'TriggerPut':
      await run(
        place,
        `INSERT INTO @triggers (tenant, id, spec, status, fired, ignored, version, partition, log_offset)
         VALUES ($1, $2, $3, 'active', 0, 0, $4, $5, $6)
         ON CONFLICT (tenant, id) DO UPDATE SET spec = excluded.spec,
           status = CASE WHEN triggers.status = 'deleted' THEN 'active' ELSE triggers.status END`,
        [JSON.stringify(data.spec), ...positionOf(place)],
      )
      break
    case 'TriggerPaused':
      await status('paused')
      break
    case 'TriggerResumed':
      await status('active')
      break
    case 'TriggerDeleted':
      await status('deleted')
      break
    case 'TriggerFired':
      await run(place, 'UPDATE @triggers SET fired = fired + 1, last_fired_at = $3 WHERE tenant = $1 AND id = $2', [
        place.at,
      ])
      break
    case 'TriggerIgnored':
      await run(place, 'UPDATE @triggers SET ignored = ignored + 1 WHERE tenant = $1 AND id = $2')
      break
    case 'TriggerAdvanced':
    case 'TriggeredRunRequested':
    case 'TriggeredRunEnded':
      break
  }
  await touch(place, 'triggers')
}
