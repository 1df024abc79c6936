import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { payload } from '../json.ts'
import { partitionEvents } from '../log/partition-events.ts'
import { workflowId } from './definition.ts'
import { chain, runEnd, runOptions, runSource, scheduleSpec, topicPositions, triggerSpec } from './model.ts'

const version = z.number().int().positive()
const timeMs = z.number().int().nonnegative()
const reason = z.string().max(2000).optional()
const by = z.string().max(200)

/** Events of one workflow: its versions, and its runs from request to end. */
export const workflowEvents = {
  /** `bundle` is a WorkflowBundle; it never changes */
  WorkflowVersionCreated: v1(
    z.object({
      workflowId,
      version,
      name: z.string().max(200),
      description: z.string().max(4000).optional(),
      bundle: payload,
      bundleHash: z.string().max(64),
      by,
    }),
  ),
  WorkflowVersionPublished: v1(z.object({ version, by })),
  WorkflowVersionDeprecated: v1(z.object({ version, by, reason })),
  WorkflowDeleted: v1(z.object({ by, reason })),

  WorkflowRunRequested: v1(
    z.object({
      runId: callerId,
      version,
      parameters: payload,
      requestHash: z.string().max(64),
      source: runSource,
      options: runOptions.optional(),
    }),
  ),
  /** the start is on the log of executions */
  WorkflowRunStarted: v1(z.object({ runId: callerId })),
  /** a schedule wants the run out of the way */
  WorkflowRunSuperseded: v1(z.object({ runId: callerId })),
  WorkflowRunEnded: v1(z.object({ runId: callerId, end: runEnd, output: payload.optional() })),
  /** whoever waits for the end of the run has been told */
  WorkflowRunReported: v1(z.object({ runId: callerId })),

  WorkflowSubscribed: v1(z.object({ triggerId: callerId })),
  WorkflowUnsubscribed: v1(z.object({ triggerId: callerId })),
} as const
export type WorkflowEvent = RecordOf<typeof workflowEvents>

/** Events of one schedule. Moments are the nominal ones, ms since the epoch. */
export const scheduleEvents = {
  /** moments after `from` count */
  SchedulePut: v1(z.object({ scheduleId: callerId, spec: scheduleSpec, from: timeMs, by })),
  SchedulePaused: v1(z.object({ by, reason })),
  ScheduleResumed: v1(z.object({ by, from: timeMs })),
  ScheduleDeleted: v1(z.object({ by })),
  /** a run is due; whoever owns the workflow starts it */
  ScheduleFired: v1(z.object({ nominalAt: timeMs, runId: callerId, late: z.boolean() })),
  ScheduleQueued: v1(z.object({ nominalAt: timeMs, late: z.boolean() })),
  ScheduleSkipped: v1(
    z.object({
      from: timeMs,
      to: timeMs,
      count: z.number().int().positive(),
      reason: z.enum(['overlap', 'missed', 'queue_full']),
    }),
  ),
  ScheduledRunRequested: v1(z.object({ runId: callerId })),
  ScheduledRunEnded: v1(z.object({ runId: callerId, end: runEnd })),
} as const
export type ScheduleEvent = RecordOf<typeof scheduleEvents>

/** Events of one trigger. */
export const triggerEvents = {
  TriggerPut: v1(z.object({ triggerId: callerId, spec: triggerSpec, by })),
  TriggerPaused: v1(z.object({ by, reason })),
  TriggerResumed: v1(z.object({ by })),
  TriggerDeleted: v1(z.object({ by })),
  TriggerFired: v1(
    z.object({
      eventId: z.string().max(300),
      runId: callerId,
      parameters: payload,
      positions: topicPositions.optional(),
      chain: chain.optional(),
    }),
  ),
  /** an event came and started nothing, and why */
  TriggerIgnored: v1(
    z.object({
      eventId: z.string().max(300),
      reason: z.enum(['paused', 'filtered', 'failed']),
      detail: z.string().max(2000).optional(),
      positions: topicPositions.optional(),
    }),
  ),
  /** events up to here are done with; `filter` let none of them through */
  TriggerAdvanced: v1(z.object({ positions: topicPositions })),
  TriggeredRunRequested: v1(z.object({ runId: callerId })),
  TriggeredRunEnded: v1(z.object({ runId: callerId, end: runEnd })),
} as const
export type TriggerEvent = RecordOf<typeof triggerEvents>

export const workflowContextEvents = {
  ...partitionEvents,
  ...workflowEvents,
  ...scheduleEvents,
  ...triggerEvents,
} as const
export type WorkflowContextEvent = RecordOf<typeof workflowContextEvents>
