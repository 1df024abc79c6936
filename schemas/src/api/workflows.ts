import { z } from 'zod'
import { callerId } from '../ids.ts'
import { jsonValue } from '../json.ts'
import { expression, workflowId, workflowProblem } from '../workflow/definition.ts'
import {
  catchUpPolicy,
  overlapPolicy,
  runEnd,
  runOptions,
  runSource,
  triggerSource,
  workflowVersionStatus,
} from '../workflow/model.ts'
import { logPosition } from './executions.ts'

/** The HTTP API's shapes of workflows, schedules and triggers. `position` is of the workflow events topic. */

/** greater ones do not fit the read model */
const greatestVersion = 2_147_483_647
const version = z.number().int().positive().max(greatestVersion)
const time = z.iso.datetime()

export const workflowIdParam = z.object({ id: workflowId })
export const workflowVersionParam = z.object({
  id: workflowId,
  version: z.coerce.number().int().positive().max(greatestVersion),
})

/** The definition is checked by the workflow validation, which names every problem with its place. */
export const createWorkflowBody = z.object({ definition: jsonValue, publish: z.boolean().default(false) })
export const validateWorkflowBody = z.object({ id: workflowId.optional(), definition: jsonValue })
export const validationReport = z.object({ valid: z.boolean(), problems: z.array(workflowProblem) })
export type ValidationReport = z.infer<typeof validationReport>

export const workflowReceipt = z.object({ id: z.string(), position: logPosition, deduplicated: z.boolean() })
export type WorkflowReceipt = z.infer<typeof workflowReceipt>

export const workflowVersionView = z.object({
  version,
  status: workflowVersionStatus,
  hash: z.string(),
  createdAt: time,
  createdBy: z.string(),
  publishedAt: time.optional(),
  deprecatedAt: time.optional(),
})
export type WorkflowVersionView = z.infer<typeof workflowVersionView>

export const workflowView = z.object({
  id: workflowId,
  name: z.string(),
  description: z.string().optional(),
  /** the version that runs unless another is named */
  publishedVersion: version.optional(),
  latestVersion: version,
  activeRuns: z.number().int(),
  createdAt: time,
  updatedAt: time,
  position: logPosition,
})
export type WorkflowView = z.infer<typeof workflowView>
export const workflowDetail = workflowView.extend({ versions: z.array(workflowVersionView) })
export type WorkflowDetail = z.infer<typeof workflowDetail>
export const workflowDefinitionView = workflowVersionView.extend({ id: workflowId, definition: jsonValue })

export const runWorkflowBody = z.object({
  parameters: jsonValue.default({}),
  version: version.optional(),
  /** starting twice with one id and equal parameters gives one run; at most 60 characters */
  id: callerId.max(60).optional(),
  options: runOptions.optional(),
})
export const workflowRunReceipt = workflowReceipt.extend({
  executionId: callerId,
  /** of the execution events topic: a read of the execution with this as `min_position` finds it */
  executionPosition: logPosition.optional(),
})
export type WorkflowRunReceipt = z.infer<typeof workflowRunReceipt>

export const workflowRunView = z.object({
  id: callerId,
  workflow: workflowId,
  version,
  source: runSource,
  status: z.enum(['requested', 'started', 'completed', 'failed', 'cancelled', 'refused']),
  end: runEnd.optional(),
  requestedAt: time,
  endedAt: time.optional(),
})
export type WorkflowRunView = z.infer<typeof workflowRunView>

export const scheduleBody = z.object({
  workflow: workflowId,
  version: version.optional(),
  cron: z.string().min(1).max(200),
  timezone: z.string().min(1).max(100).default('UTC'),
  parameters: jsonValue.default({}),
  overlap: overlapPolicy.default('skip'),
  catchUp: catchUpPolicy.partial().optional(),
  startAt: time.optional(),
  endAt: time.optional(),
  options: runOptions.optional(),
})
export const scheduleView = z.object({
  id: callerId,
  workflow: workflowId,
  version: version.optional(),
  cron: z.string(),
  timezone: z.string(),
  overlap: overlapPolicy,
  catchUp: catchUpPolicy,
  status: z.enum(['active', 'paused']),
  nextAt: time.optional(),
  lastFiredAt: time.optional(),
  fired: z.number().int(),
  skipped: z.number().int(),
  position: logPosition,
})
export type ScheduleView = z.infer<typeof scheduleView>
export const firingView = z.object({
  nominalAt: time,
  outcome: z.enum(['fired', 'queued', 'skipped']),
  reason: z.string().optional(),
  count: z.number().int(),
  runId: callerId.optional(),
  end: runEnd.optional(),
})
export type FiringView = z.infer<typeof firingView>

const [, topicSource, workflowSource] = triggerSource.options
export const triggerBody = z.object({
  workflow: workflowId,
  version: version.optional(),
  /** a webhook's secret is made by the platform and told once */
  source: z.discriminatedUnion('type', [z.object({ type: z.literal('webhook') }), topicSource, workflowSource]),
  filter: expression.optional(),
  parameters: jsonValue.optional(),
  options: runOptions.optional(),
})
export const triggerReceipt = workflowReceipt.extend({
  /** told once; signs what is sent to `url` */
  secret: z.string().optional(),
  url: z.string().optional(),
})
export type TriggerReceipt = z.infer<typeof triggerReceipt>
export const triggerView = z.object({
  id: callerId,
  workflow: workflowId,
  version: version.optional(),
  source: z.object({ type: z.string(), topic: z.string().optional(), workflow: z.string().optional() }),
  filter: z.string().optional(),
  status: z.enum(['active', 'paused']),
  fired: z.number().int(),
  ignored: z.number().int(),
  lastFiredAt: time.optional(),
  position: logPosition,
})
export type TriggerView = z.infer<typeof triggerView>
export const templateView = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  agents: z.array(z.string()),
  definition: jsonValue,
  /** parameters for a first run */
  example: jsonValue,
})
export type TemplateView = z.infer<typeof templateView>
