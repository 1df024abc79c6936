import { z } from 'zod'
import { failure } from '../errors.ts'
import { executionOptions, executionStatus, stepPath } from '../execution/model.ts'
import { callerId, name } from '../ids.ts'
import { jsonValue } from '../json.ts'
import { pageQuery } from './pages.ts'

/**
 * The HTTP API's shapes. `position` tells where on the log a change was accepted or up to where a read is true:
 * `<partition>:<offset>` of the execution events topic. A read with `min_position` waits until it includes it.
 */
export const logPosition = z.string().regex(/^\d+:\d+$/, 'expected <partition>:<offset>')
export const executionIdParam = z.object({ id: callerId })

export const startExecutionBody = z.object({
  agent: name,
  input: jsonValue.default(null),
  /** caller-chosen id: starting twice with the same id and input gives the same execution */
  id: callerId.optional(),
  options: executionOptions.partial().optional(),
})

/** Answer of every write: the outcome is accepted on the log. */
export const writeReceipt = z.object({
  executionId: callerId,
  position: logPosition,
  /** true when this very request (or an equal one) had been decided before */
  deduplicated: z.boolean(),
})
export type WriteReceipt = z.infer<typeof writeReceipt>

export const executionView = z.object({
  id: callerId,
  agent: name,
  status: executionStatus,
  input: jsonValue.optional(),
  output: jsonValue.optional(),
  error: failure.optional(),
  attempt: z.number().int(),
  /** why it is not running: waits for a worker, a timer, a signal, an approval, children */
  waitingFor: z.array(z.string()).optional(),
  stepsCompleted: z.number().int(),
  costMicroCredits: z.number().int(),
  inputTokens: z.number().int(),
  outputTokens: z.number().int(),
  options: executionOptions.partial(),
  parentId: callerId.optional(),
  forkedFrom: callerId.optional(),
  /** the last step that was taken over from there; absent: all of them */
  forkedToPath: stepPath.optional(),
  /** roll backs so far; absent: none */
  generation: z.number().int().optional(),
  /** while it is `recovering`: what it failed with, and when it fails after all if nobody decides */
  recovery: z.object({ incident: z.number().int(), error: failure, giveUpAt: z.iso.datetime() }).optional(),
  createdAt: z.iso.datetime(),
  startedAt: z.iso.datetime().optional(),
  finishedAt: z.iso.datetime().optional(),
  version: z.number().int(),
  position: logPosition,
})
export type ExecutionView = z.infer<typeof executionView>

export const listExecutionsQuery = z.object({
  status: executionStatus.optional(),
  agent: name.optional(),
  parent: callerId.optional(),
  forked_from: callerId.optional(),
  /** `name:value`; given several times, all of them have to fit */
  label: z
    .union([z.string(), z.array(z.string()).max(20)])
    .transform((given) => (typeof given === 'string' ? [given] : given))
    .pipe(
      z.array(
        z
          .string()
          .max(329)
          .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*:/, 'expected <name>:<value>')
          .refine((text) => !text.includes('\0'), 'U+0000 is not allowed'),
      ),
    )
    .optional(),
  ...pageQuery.shape,
})

export const stepView = z.object({
  path: stepPath,
  name: z.string(),
  kind: z.string(),
  status: z.enum(['running', 'completed', 'failed', 'retrying', 'pending', 'unknown']),
  executionAttempt: z.number().int(),
  stepAttempt: z.number().int(),
  input: jsonValue.optional(),
  output: jsonValue.optional(),
  error: failure.optional(),
  model: z.string().optional(),
  inputTokens: z.number().int().optional(),
  outputTokens: z.number().int().optional(),
  costMicroCredits: z.number().int().optional(),
  startedAt: z.iso.datetime().optional(),
  finishedAt: z.iso.datetime().optional(),
  durationMs: z.number().optional(),
  /** a roll back made it void; such steps are listed with `superseded=true` only */
  superseded: z.boolean().optional(),
})
export type StepView = z.infer<typeof stepView>

export const eventView = z.object({
  id: z.string(),
  type: z.string(),
  version: z.number().int(),
  time: z.iso.datetime(),
  actor: z.string(),
  commandId: z.string().optional(),
  position: logPosition,
  data: jsonValue,
})
export type EventView = z.infer<typeof eventView>

/** Live output of a step that runs, e.g. tokens of a model: shown, never recorded. Event `delta` of the stream, without an id. */
export const deltaView = z.object({ path: stepPath, attempt: z.number().int().positive(), text: z.string() })
export type DeltaView = z.infer<typeof deltaView>

export const failureView = z.object({
  executionId: callerId,
  agent: name,
  code: z.string(),
  detail: z.string(),
  stepPath: stepPath.optional(),
  attempt: z.number().int(),
  time: z.iso.datetime(),
  final: z.boolean(),
})
export type FailureView = z.infer<typeof failureView>

export const signalBody = z.object({ name, payload: jsonValue.default(null), id: callerId.optional() })
export const approvalBody = z.object({
  path: stepPath,
  decision: z.enum(['approved', 'rejected']),
  comment: z.string().max(2000).optional(),
})
export const reasonBody = z.object({ reason: z.string().max(2000).optional() })
export const resolveOutcomeBody = z.object({
  path: stepPath,
  resolution: z.discriminatedUnion('status', [
    z.object({ status: z.literal('completed'), output: jsonValue }),
    z.object({ status: z.literal('failed'), detail: z.string().max(2000) }),
    z.object({ status: z.literal('retry') }),
  ]),
  comment: z.string().max(2000).optional(),
})

export const agentView = z.object({
  agent: name,
  description: z.string().optional(),
  inputSchema: z.record(z.string(), jsonValue).optional(),
  registeredAt: z.iso.datetime(),
})

/** POST /v1/workers/connect: where the engines are and the token that opens them. */
export const workerConnectReply = z.object({
  token: z.string(),
  expiresAt: z.iso.datetime(),
  endpoints: z.array(z.string()),
})
export type WorkerConnectReply = z.infer<typeof workerConnectReply>

/** RFC 9457 problem details. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.string(),
  retryable: z.boolean(),
  instance: z.string().optional(),
  requestId: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  /** with `step_up_required`: what proves enough */
  accepts: z.array(z.string()).optional(),
  /** with `policy_denied`: which ones decided */
  policies: z.array(z.string()).optional(),
})
export type Problem = z.infer<typeof problem>
