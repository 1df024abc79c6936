import {
  hashJson,
  type RunEnd,
  type ScheduleCommand,
  type ScheduleEvent,
  type ScheduleSpec,
  workflowRunId,
} from '@omium/schemas'
import { type Decision, decided, refused } from './decision.ts'
import type { Identity } from './workflow.ts'

/**
 * A schedule as the fold of its events.
 *
 * 1. Each moment of the cron expression is dealt with once: `cursor` is the last one that was fired, queued or skipped.
 * 2. The id of a run is made of the schedule and the moment, so that however often it is asked for, there is one.
 * 3. A run is active from the moment that it fires until its end is reported.
 */
export interface ScheduleState {
  readonly tenant: string
  readonly scheduleId: string
  readonly correlationId: string
  spec: ScheduleSpec
  status: 'active' | 'paused' | 'deleted'
  cursor: number
  queue: { readonly nominalAt: number; readonly late: boolean }[]
  readonly runs: Record<string, ScheduledRun>
}

export interface ScheduledRun {
  readonly runId: string
  readonly nominalAt: number
  /** what it was fired with: the schedule may change afterwards */
  readonly spec: ScheduleSpec
  requested: boolean
  superseded: boolean
}

/** The moments of a cron expression; given, so that this folder needs no calendar. */
export type Moments = (
  cron: { readonly cron: string; readonly timezone: string },
  after: number,
  upto: number,
  most: number,
) => { readonly count: number; readonly first: number | undefined; readonly newest: readonly number[] }

const longestQueue = 100

export const scheduledRunId = (spec: ScheduleSpec, scheduleId: string, nominalAt: number): string =>
  workflowRunId(spec.workflow, `s-${hashJson(scheduleId).slice(0, 16)}-${nominalAt.toString(36)}`)

export const evolveSchedule = (
  before: ScheduleState | undefined,
  { type, data }: ScheduleEvent,
  { tenant, id, correlationId }: Identity,
): ScheduleState => {
  if (type === 'SchedulePut') {
    if (!before)
      return {
        tenant,
        scheduleId: id,
        correlationId,
        spec: data.spec,
        status: 'active',
        cursor: data.from,
        queue: [],
        runs: {},
      }
    const revived = before.status === 'deleted'
    before.spec = data.spec
    if (revived) before.status = 'active'
    before.cursor = Math.max(before.cursor, data.from)
    return before
  }
  const state = before
  if (!state) throw new RangeError(`${type} of a schedule that was never put`)
  switch (type) {
    case 'SchedulePaused':
      state.status = 'paused'
      break
    case 'ScheduleResumed':
      state.status = 'active'
      state.cursor = Math.max(state.cursor, data.from)
      break
    case 'ScheduleDeleted':
      state.status = 'deleted'
      state.queue = []
      break
    case 'ScheduleFired': {
      const { nominalAt, runId } = data
      if (state.spec.overlap === 'cancel_previous') for (const run of Object.values(state.runs)) run.superseded = true
      state.runs[runId] = { runId, nominalAt, spec: state.spec, requested: false, superseded: false }
      state.queue = state.queue.filter((queued) => queued.nominalAt !== nominalAt)
      state.cursor = Math.max(state.cursor, nominalAt)
      break
    }
    case 'ScheduleQueued':
      state.queue.push({ nominalAt: data.nominalAt, late: data.late })
      state.cursor = Math.max(state.cursor, data.nominalAt)
      break
    case 'ScheduleSkipped':
      state.cursor = Math.max(state.cursor, data.to)
      break
    case 'ScheduledRunRequested': {
      const run = state.runs[data.runId]
      if (run) run.requested = true
      break
    }
    case 'ScheduledRunEnded':
      delete state.runs[data.runId]
      break
  }
  return state
}

export const decideSchedule = (
  state: ScheduleState | undefined,
  command: ScheduleCommand,
  scheduleId: string,
  by: string,
  nowMs: number,
): Decision<ScheduleEvent> => {
  const { type, data } = command
  if (type === 'PutSchedule') {
    const same = state && state.status !== 'deleted' && JSON.stringify(state.spec) === JSON.stringify(data.spec)
    return same ? decided() : decided({ type: 'SchedulePut', data: { ...data, from: nowMs, by } })
  }
  if (type === 'ReportScheduledRun') return runEnded(state, data.runId, data.end)
  if (!state || state.status === 'deleted') return refused('schedule_unknown', `there is no schedule ${scheduleId}`)
  switch (type) {
    case 'PauseSchedule':
      return state.status === 'paused' ? decided() : decided({ type: 'SchedulePaused', data: { ...data, by } })
    case 'ResumeSchedule':
      // what passed while it was paused was not to run
      return state.status === 'active' ? decided() : decided({ type: 'ScheduleResumed', data: { by, from: nowMs } })
    case 'DeleteSchedule':
      return decided({ type: 'ScheduleDeleted', data: { by } })
  }
}

const runEnded = (state: ScheduleState | undefined, runId: string, end: RunEnd): Decision<ScheduleEvent> => {
  if (!state?.runs[runId]) return decided()
  const events: ScheduleEvent[] = [{ type: 'ScheduledRunEnded', data: { runId, end } }]
  const [next] = state.queue
  const others = Object.keys(state.runs).length - 1
  if (next && others === 0 && state.status === 'active') events.push(fire(state, next.nominalAt, next.late))
  return decided(...events)
}

const fire = (state: ScheduleState, nominalAt: number, late: boolean): ScheduleEvent => ({
  type: 'ScheduleFired',
  data: { nominalAt, runId: scheduledRunId(state.spec, state.scheduleId, nominalAt), late },
})

/** After which time moments count, and up to which. */
export const windowOf = ({ spec, cursor }: ScheduleState): { readonly after: number; readonly until: number } => ({
  after: Math.max(cursor, (spec.startAt ?? 0) - 1),
  until: spec.endAt ?? Number.POSITIVE_INFINITY,
})

/** It may be time: what becomes of every moment that has passed since the last one. */
export const passTime = (state: ScheduleState, nowMs: number, moments: Moments): ScheduleEvent[] => {
  if (state.status !== 'active') return []
  const { spec } = state
  const { policy, limit, graceMs } = spec.catchUp
  const { after, until } = windowOf(state)
  const { count, first, newest } = moments(spec, after, Math.min(nowMs, until), limit)
  const latest = newest.at(-1)
  if (latest === undefined || first === undefined) return []
  const onTime = newest.filter((at) => at >= nowMs - graceMs)
  const chosen = policy === 'all' ? newest : policy === 'none' || onTime.length > 0 ? onTime : [latest]
  const events: ScheduleEvent[] = []
  const missed = count - chosen.length
  if (missed > 0) {
    const to = chosen[0] === undefined ? latest : chosen[0] - 1
    events.push({ type: 'ScheduleSkipped', data: { from: first, to, count: missed, reason: 'missed' } })
  }
  let active = Object.keys(state.runs).length
  let queued = state.queue.length
  for (const [i, nominalAt] of chosen.entries()) {
    const late = nominalAt < nowMs - graceMs
    const skip = (reason: 'overlap' | 'queue_full') =>
      events.push({ type: 'ScheduleSkipped', data: { from: nominalAt, to: nominalAt, count: 1, reason } })
    if (spec.overlap === 'cancel_previous' && i < chosen.length - 1) skip('overlap')
    else if (active === 0 || spec.overlap === 'allow' || spec.overlap === 'cancel_previous') {
      events.push(fire(state, nominalAt, late))
      active++
    } else if (spec.overlap === 'skip') skip('overlap')
    else if (queued < longestQueue) {
      events.push({ type: 'ScheduleQueued', data: { nominalAt, late } })
      queued++
    } else skip('queue_full')
  }
  return events
}
