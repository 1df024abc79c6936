import { z } from 'zod'
import { failure } from '../errors.ts'
import { callerId, name } from '../ids.ts'
import { jsonValue, payload } from '../json.ts'

export const executionStatuses = [
  'awaiting_permit', // its concurrency key is at its limit
  'queued', // waits for a worker
  'running', // a worker has it
  'suspended', // waits for a timer, signal, approval or child without holding a worker
  'paused',
  'recovering', // it failed, and somebody decides what becomes of it
  'completed',
  'failed',
  'cancelled',
] as const
export const executionStatus = z.enum(executionStatuses)
export type ExecutionStatus = z.infer<typeof executionStatus>

export const terminalStatuses = ['completed', 'failed', 'cancelled'] as const
export const isTerminal = (status: ExecutionStatus): boolean => (terminalStatuses as readonly string[]).includes(status)

/** Exponential backoff with full determinism: jitter is derived from execution, path and attempt. */
export const retryPolicy = z.object({
  maxAttempts: z.number().int().min(1).max(1000),
  initialDelayMs: z.number().int().min(0).max(86_400_000),
  backoff: z.number().min(1).max(10),
  maxDelayMs: z
    .number()
    .int()
    .min(0)
    .max(7 * 86_400_000),
  /** share of the delay that is random, 0..1 */
  jitter: z.number().min(0).max(1),
  /** codes or names of user errors that are not retried */
  nonRetryable: z.array(z.string().max(200)).max(100),
})
export type RetryPolicy = z.infer<typeof retryPolicy>

export const defaultStepRetry: RetryPolicy = {
  maxAttempts: 3,
  initialDelayMs: 100,
  backoff: 2,
  maxDelayMs: 30_000,
  jitter: 0.2,
  nonRetryable: [],
}
export const noRetry: RetryPolicy = { ...defaultStepRetry, maxAttempts: 1 }

export const executionLabels = z
  .record(name, z.string().max(200))
  .refine((labels) => Object.keys(labels).length <= 20, 'at most 20 labels')
  // they are searched by in PostgreSQL, whose text cannot hold it
  .refine((labels) => !Object.values(labels).some((value) => value.includes('\0')), 'U+0000 cannot be searched for')

/** When checkpoints of a run are made without being asked for. The journal itself is durable either way. */
export const checkpointPolicy = z.object({
  /** `step`: whenever a result is recorded; `task`: when one of the outermost level is */
  every: z.enum(['step', 'task', 'never']).default('never'),
  /** with the first result that is recorded so long after the last checkpoint */
  everyMs: z.number().int().min(100).max(86_400_000).optional(),
  /** when the intent of an effect is recorded, before the effect is made */
  beforeEffects: z.boolean().optional(),
})
export type CheckpointPolicy = z.infer<typeof checkpointPolicy>

export const executionOptions = z.object({
  /** larger goes first, among the runs that wait for a worker in one partition */
  priority: z.number().int().min(-100).max(100).default(0),
  /** limit for the whole run, from its request, ms */
  timeoutMs: z
    .number()
    .int()
    .min(1)
    .max(366 * 86_400_000)
    .optional(),
  /** what happens when the agent function itself throws */
  retry: retryPolicy.optional(),
  /** at most `limit` runs of one key of a tenant hold a permit at once */
  concurrency: z.object({ key: name, limit: z.number().int().min(1).max(100_000) }).optional(),
  /** cap on what the run and its children spend, in millionths of a credit (1 credit = 1 USD) */
  budgetMicroCredits: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  /** what runs are shown and found by */
  labels: executionLabels.optional(),
  /** a failure of the run waits for the recovery orchestrator, which decides by this policy */
  recovery: z.object({ policy: name }).optional(),
  /** steps are answered from recordings and never made; only model calls and values are */
  simulate: z.boolean().optional(),
  /** which checkpoints of the run are made by themselves */
  checkpoints: checkpointPolicy.optional(),
})
export type ExecutionOptions = z.infer<typeof executionOptions>

/** Path of a step in its run: names, explicit keys and occurrences, `/` between levels: `plan#1/search:kafka#2`. */
export const stepPath = z.string().min(1).max(1024)
/** A `checkpoint` is a step whose output is a state that the checkpoint manager keeps. */
export const stepKind = z.enum(['step', 'llm', 'tool', 'value', 'checkpoint'])
export type StepKind = z.infer<typeof stepKind>
/** What a step event can be of: a step, or in a simulated run what it stands for, answered from recordings. */
export const recordedKind = z.enum([...stepKind.options, 'wait', 'approval', 'child'])
export type RecordedKind = z.infer<typeof recordedKind>

export const usage = z.object({
  model: z.string().optional(),
  inputTokens: z.number().int().nonnegative().optional(),
  outputTokens: z.number().int().nonnegative().optional(),
  /** millionths of a credit */
  costMicroCredits: z.number().int().nonnegative().optional(),
})
export type Usage = z.infer<typeof usage>

/** what a run and all runs below it have spent; absent: nothing */
export const spentMicroCredits = z.number().int().nonnegative().optional()

export const parentRef = z.object({ executionId: callerId, path: stepPath })

/** What every record about one step carries. */
export const stepRef = z.object({
  /** attempt of the execution that ran it, from 1 */
  attempt: z.number().int().positive(),
  path: stepPath,
  name: z.string().min(1).max(200),
  kind: recordedKind,
  /** try of this step, from 1 */
  stepAttempt: z.number().int().positive(),
  requestHash: z.string().max(64),
})

/** How a terminal execution ended, as its parent and its callers see it. */
export const executionOutcome = z.discriminatedUnion('status', [
  z.object({ status: z.literal('completed'), output: payload }),
  z.object({ status: z.literal('failed'), error: failure }),
  z.object({ status: z.literal('cancelled'), reason: z.string().max(2000).optional() }),
])
export type ExecutionOutcome = z.infer<typeof executionOutcome>

/**
 * What attempts do otherwise than the code says. Applies to model calls that are really made, never to recorded ones; request
 * hashes are those of what the code asked for, so that a journal fits with and without.
 */
export const runOverrides = z.object({
  /** another model, by the one that the code asks for; `*` stands for any */
  models: z.record(z.string().max(200), z.string().max(200)).optional(),
  /** a system message added to every model call, e.g. how to avoid the last failure */
  instructions: z.string().max(20_000).optional(),
  /** the oldest messages are left out until the request is about that short */
  maxInputTokens: z.number().int().positive().optional(),
})
export type RunOverrides = z.infer<typeof runOverrides>

/** What is said last counts, model by model. */
export const mergeOverrides = (earlier: RunOverrides | null | undefined, later: RunOverrides): RunOverrides => {
  const models = { ...earlier?.models, ...later.models }
  return { ...earlier, ...later, ...(Object.keys(models).length > 0 && { models }) }
}

const delayMs = z
  .number()
  .int()
  .min(0)
  .max(7 * 86_400_000)
  .default(0)

/** What becomes of a run that waits in `recovering`. */
export const recoveryAction = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('retry'),
    delayMs,
    overrides: runOverrides.optional(),
    /** recorded failed steps that run anew; absent: those that the worker named when the attempt failed, or all */
    rerun: z.array(stepPath).max(1000).optional(),
    /** another worker than the last one, when there is one */
    avoidWorker: z.boolean().default(false),
  }),
  /** forgets what was recorded after `toPath`; null: everything that the run itself recorded */
  z.object({
    type: z.literal('roll_back'),
    toPath: stepPath.nullable(),
    delayMs,
    overrides: runOverrides.optional(),
    /** every effect that the run had made by then was undone before */
    undone: z.boolean().optional(),
  }),
  /** the step at `path` gets this value in place of its failure, and the run goes on */
  z.object({ type: z.literal('settle'), path: stepPath, output: payload }),
  /** a person decides; the run waits until then */
  z.object({ type: z.literal('hold'), untilMs: z.number().int().nonnegative() }),
  z.object({ type: z.literal('give_up') }),
])
export type RecoveryAction = z.infer<typeof recoveryAction>

/** Effects of a run by their numbers, counted from 0 in the order in which they were made; `to` is exclusive. */
export const effectRange = z.object({ from: z.number().int().nonnegative(), to: z.number().int().positive() })
export type EffectRange = z.infer<typeof effectRange>
/** ascending, disjoint */
export const effectRanges = z.array(effectRange).max(1000)

/** Where a forked run comes from. */
export const forkOrigin = z.object({
  executionId: callerId,
  /** the last result that is taken over, `toPath` everywhere else: the log keeps the name that it began with */
  uptoPath: stepPath.optional(),
  /** results taken over: a JSON array of journal entries (see worker protocol) */
  seed: payload,
  /** what a simulated run is answered from: a JSON array of recordings (see worker protocol) */
  recordings: payload.optional(),
  /** input, results, agent or model calls differ from those of the origin */
  edited: z.boolean().optional(),
})
export type ForkOrigin = z.infer<typeof forkOrigin>

/** How the unknown outcome of an effect was settled. `retry` allows the effect to be tried again. */
export const outcomeResolution = z.discriminatedUnion('status', [
  z.object({ status: z.literal('completed'), output: payload }),
  z.object({ status: z.literal('failed'), error: failure }),
  z.object({ status: z.literal('retry') }),
])
export type OutcomeResolution = z.infer<typeof outcomeResolution>

/** An agent as its worker describes it. */
export const agentDefinition = z.object({
  agentId: name,
  description: z.string().max(2000).optional(),
  /** JSON Schema of the input; absent accepts anything */
  inputSchema: z.record(z.string(), jsonValue).optional(),
  /** options used when a start names none */
  defaults: executionOptions.partial().optional(),
  runtime: z.string().max(200).optional(),
})
export type AgentDefinition = z.infer<typeof agentDefinition>
