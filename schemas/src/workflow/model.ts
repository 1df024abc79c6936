import { z } from 'zod'
import { executionOptions } from '../execution/model.ts'
import { callerId } from '../ids.ts'
import { jsonValue, payload } from '../json.ts'
import { expression, workflowId } from './definition.ts'

export const workflowVersionStatus = z.enum(['draft', 'published', 'deprecated'])
export type WorkflowVersionStatus = z.infer<typeof workflowVersionStatus>

const version = z.number().int().positive()

/** What a start may set over what the definition says. */
export const runOptions = executionOptions.pick({ priority: true, timeoutMs: true, budgetMicroCredits: true }).partial()
export type WorkflowRunOptions = z.infer<typeof runOptions>

/** How many ends of workflows led to this, each starting the next run; absent: none. */
export const chain = z.number().int().positive()

/** Who or what started a run. */
export const runSource = z.discriminatedUnion('type', [
  z.object({ type: z.literal('request') }),
  z.object({ type: z.literal('schedule'), scheduleId: callerId, nominalAt: z.number().int().nonnegative() }),
  z.object({ type: z.literal('trigger'), triggerId: callerId, eventId: z.string().max(300), chain: chain.optional() }),
])
export type RunSource = z.infer<typeof runSource>

/** How a run ended, without its output. */
export const runEnd = z.object({
  status: z.enum(['completed', 'failed', 'cancelled', 'refused']),
  code: z.string().max(100).optional(),
  detail: z.string().max(8192).optional(),
})
export type RunEnd = z.infer<typeof runEnd>

/** What happens to the moments that passed while nobody could start a run. */
export const catchUpPolicy = z.object({
  policy: z.enum(['none', 'last', 'all']).default('none'),
  /** with `all`: the newest so many are started, older ones are skipped */
  limit: z.number().int().min(1).max(1000).default(100),
  /** a moment that is not older counts as on time, ms */
  graceMs: z.number().int().min(0).max(86_400_000).default(60_000),
})
/** What happens when it is time and the last run of the schedule has not ended. */
export const overlapPolicy = z.enum(['skip', 'queue', 'cancel_previous', 'allow'])

export const scheduleSpec = z.object({
  workflow: workflowId,
  /** the newest published version at the time of each start unless given */
  version: version.optional(),
  /** five fields, or six with seconds first */
  cron: z.string().min(1).max(200),
  /** IANA time zone */
  timezone: z.string().min(1).max(100).default('UTC'),
  parameters: payload,
  overlap: overlapPolicy.default('skip'),
  catchUp: catchUpPolicy.default({ policy: 'none', limit: 100, graceMs: 60_000 }),
  /** no start before or after, ms since the epoch */
  startAt: z.number().int().nonnegative().optional(),
  endAt: z.number().int().nonnegative().optional(),
  options: runOptions.optional(),
})
export type ScheduleSpec = z.infer<typeof scheduleSpec>

export const triggerSource = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('webhook'),
    /** the secret of the signature, encrypted by the gateway; never in clear on the log */
    sealedSecret: z.string().max(500),
  }),
  z.object({
    type: z.literal('topic'),
    /** name of a topic of the tenant (see `tenantTopic`), with JSON values; events that come after the trigger was made count */
    topic: z
      .string()
      .regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/, 'use 1 to 200 of A-Z a-z 0-9 . _ - and no dot first'),
  }),
  z.object({
    type: z.literal('workflow'),
    workflow: workflowId,
    on: z
      .array(z.enum(['completed', 'failed', 'cancelled']))
      .min(1)
      .max(3),
  }),
])
export type TriggerSource = z.infer<typeof triggerSource>

export const triggerSpec = z.object({
  workflow: workflowId,
  version: version.optional(),
  source: triggerSource,
  /** an expression over `event`; only events for which it is true start a run */
  filter: expression.optional(),
  /** a template over `event`; `event` itself unless given */
  parameters: jsonValue.optional(),
  options: runOptions.optional(),
})
export type TriggerSpec = z.infer<typeof triggerSpec>

/** Offsets of a topic's partitions up to which a trigger has read. */
export const topicPositions = z.record(z.string(), z.number().int().nonnegative())
