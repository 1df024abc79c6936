import { z } from 'zod'
import { type ContextDefinition, type RecordOf, v1 } from '../catalogue.ts'
import { callerId } from '../ids.ts'
import { jsonValue, payload } from '../json.ts'
import { workflowId } from './definition.ts'
import { workflowContextEvents } from './events.ts'
import { chain, runEnd, runOptions, runSource, scheduleSpec, topicPositions, triggerSpec } from './model.ts'

const version = z.number().int().positive()
const reason = z.string().max(2000).optional()

/** The aggregate is `workflow:<tenant>/<workflowId>`. Who asks is the envelope's actor. */
export const workflowCommands = {
  /** an equal bundle makes no other version */
  CreateWorkflowVersion: v1(
    z.object({
      workflowId,
      name: z.string().max(200),
      description: z.string().max(4000).optional(),
      bundle: payload,
      bundleHash: z.string().max(64),
      publish: z.boolean().default(false),
    }),
  ),
  PublishWorkflowVersion: v1(z.object({ version })),
  DeprecateWorkflowVersion: v1(z.object({ version, reason })),
  DeleteWorkflow: v1(z.object({ reason })),
  RunWorkflow: v1(
    z.object({
      runId: callerId,
      /** the newest published one unless given */
      version: version.optional(),
      parameters: payload,
      requestHash: z.string().max(64),
      source: runSource,
      options: runOptions.optional(),
    }),
  ),
  /** from whoever follows the executions */
  EndWorkflowRun: v1(z.object({ runId: callerId, end: runEnd, output: payload.optional() })),
  /** from a schedule whose next run is not to wait for this one */
  SupersedeWorkflowRun: v1(z.object({ runId: callerId })),
  SubscribeToWorkflow: v1(z.object({ triggerId: callerId })),
  UnsubscribeFromWorkflow: v1(z.object({ triggerId: callerId })),
} as const
export type WorkflowCommand = RecordOf<typeof workflowCommands>

/** The aggregate is `schedule:<tenant>/<scheduleId>`. */
export const scheduleCommands = {
  PutSchedule: v1(z.object({ scheduleId: callerId, spec: scheduleSpec })),
  PauseSchedule: v1(z.object({ reason })),
  ResumeSchedule: v1(z.object({})),
  DeleteSchedule: v1(z.object({})),
  /** from the workflow: a run of the schedule ended, or was refused */
  ReportScheduledRun: v1(z.object({ runId: callerId, end: runEnd })),
} as const
export type ScheduleCommand = RecordOf<typeof scheduleCommands>

/** The aggregate is `trigger:<tenant>/<triggerId>`. */
export const triggerCommands = {
  PutTrigger: v1(z.object({ triggerId: callerId, spec: triggerSpec })),
  PauseTrigger: v1(z.object({ reason })),
  ResumeTrigger: v1(z.object({})),
  DeleteTrigger: v1(z.object({})),
  FireTrigger: v1(
    z.object({
      eventId: z.string().max(300),
      event: jsonValue,
      positions: topicPositions.optional(),
      chain: chain.optional(),
    }),
  ),
  ReportTriggeredRun: v1(z.object({ runId: callerId, end: runEnd })),
} as const
export type TriggerCommand = RecordOf<typeof triggerCommands>

export const workflowContextCommands = { ...workflowCommands, ...scheduleCommands, ...triggerCommands } as const
export type WorkflowContextCommand = RecordOf<typeof workflowContextCommands>

export const workflowContext = {
  name: 'workflow',
  commands: workflowContextCommands,
  events: workflowContextEvents,
} as const satisfies ContextDefinition
