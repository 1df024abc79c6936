import { z } from 'zod'
import { failure } from '../errors.ts'
import { effectRanges, recordedKind, recoveryAction, stepPath } from '../execution/model.ts'
import { callerId, name } from '../ids.ts'
import { jsonValue, payload } from '../json.ts'

/** What kind of failure it is: what may help depends on it. */
export const failureClasses = [
  'transient_provider', // the model provider is down, overloaded or out of reach
  'rate_limit',
  'timeout',
  'tool_error',
  'bad_model_output', // the model's answer cannot be read or does not fit
  'context_length',
  'loop', // the same call with the same arguments, again and again
  'stall', // an attempt that has recorded nothing for too long
  'budget',
  'policy', // somebody or something said no: a person, a content filter, a permission
  'worker_crash', // workers die of the run, or under it
  'poison_input', // the input itself cannot be worked on
  'code_bug',
  'credentials',
  'unknown_outcome', // nobody knows whether an effect happened
  'platform', // a part of Omium itself was away
] as const
export const failureClass = z.enum(failureClasses)
export type FailureClass = z.infer<typeof failureClass>

export const recoveryStrategies = [
  'retry',
  'other_model',
  'smaller_context',
  'repair_prompt',
  'roll_back',
  'skip_with_default',
  'reassign',
  'compensate',
  'ask_person',
  'give_up',
] as const
export const recoveryStrategy = z.enum(recoveryStrategies)
export type RecoveryStrategy = z.infer<typeof recoveryStrategy>

const longestMs = 7 * 86_400_000
/** a failed run waits a day for its recovery */
const longestCompensationMs = 20 * 3_600_000
const delayMs = z.number().int().min(0).max(longestMs)
const attempts = z.number().int().min(1).max(50)
const microCredits = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const modelName = z.string().min(1).max(200)
/** `*` stands for any characters */
const pattern = z.string().min(1).max(200)

const compensationTerms = {
  afterwards: z.enum(['give_up', 'roll_back']).default('give_up'),
  /** how long one run of the agent may take, the wait for a worker included; after that a person is asked */
  timeoutMs: z.number().int().min(1_000).max(longestCompensationMs).default(3_600_000),
  /** what one run of the agent may spend */
  budgetMicroCredits: microCredits.optional(),
}

/** One thing to try, and how often within an incident. */
export const recoveryTry = z.discriminatedUnion('strategy', [
  z.strictObject({
    strategy: z.literal('retry'),
    attempts: attempts.default(3),
    initialDelayMs: delayMs.default(1_000),
    factor: z.number().min(1).max(10).default(2),
    maxDelayMs: delayMs.default(60_000),
  }),
  /** the policy's `models` unless it names its own; each once, in order */
  z.strictObject({ strategy: z.literal('other_model'), models: z.array(modelName).min(1).max(20).optional() }),
  /** each limit once, in order */
  z.strictObject({
    strategy: z.literal('smaller_context'),
    maxInputTokens: z.array(z.number().int().positive()).min(1).max(20).default([32_000, 8_000]),
  }),
  /** a system message with the error; `{error}` in `instructions` stands for it */
  z.strictObject({
    strategy: z.literal('repair_prompt'),
    attempts: attempts.default(2),
    instructions: z.string().min(1).max(10_000).optional(),
  }),
  /** each time one result further back than the time before */
  z.strictObject({
    strategy: z.literal('roll_back'),
    to: z.enum(['last_good_step', 'start']).default('last_good_step'),
    attempts: attempts.default(1),
    instructions: z.string().min(1).max(10_000).optional(),
  }),
  /** the failed step gets this value, and the run goes on */
  z.strictObject({ strategy: z.literal('skip_with_default'), output: jsonValue }),
  z.strictObject({ strategy: z.literal('reassign'), attempts: attempts.default(1) }),
  /**
   * starts this agent with the run's completed effects as its input, 100 at a time, the latest first; when all is undone, what
   * `afterwards` says
   */
  z.strictObject({ strategy: z.literal('compensate'), agent: name, ...compensationTerms }),
  z.strictObject({ strategy: z.literal('ask_person'), timeoutMs: delayMs.min(1).default(86_400_000) }),
  z.strictObject({ strategy: z.literal('give_up') }),
])
export type RecoveryTry = z.infer<typeof recoveryTry>

/** The first rule that fits a failure decides what is tried; every condition that is given must fit. */
export const recoveryRule = z.strictObject({
  when: z
    .strictObject({
      classes: z.array(failureClass).min(1).max(50).optional(),
      codes: z.array(z.string().max(100)).min(1).max(50).optional(),
      /** names of failed steps */
      steps: z.array(pattern).min(1).max(50).optional(),
      agents: z.array(pattern).min(1).max(50).optional(),
      fingerprints: z.array(z.string().max(64)).min(1).max(50).optional(),
    })
    .default({}),
  try: z.array(recoveryTry).min(1).max(20),
})
export type RecoveryRule = z.infer<typeof recoveryRule>

export const recoveryPolicy = z.strictObject({
  description: z.string().max(2000).optional(),
  /** fallback models, best first */
  models: z.array(modelName).max(20).default([]),
  limits: z
    .strictObject({
      attemptsPerIncident: z.number().int().min(0).max(1000).default(10),
      attemptsPerRun: z.number().int().min(0).max(10_000).default(50),
      /** what the run may spend on an incident before only decisions that cost nothing are left */
      costMicroCreditsPerIncident: microCredits.optional(),
      /** the same for the run's whole spending */
      costMicroCreditsPerRun: microCredits.optional(),
    })
    .prefault({}),
  /** in which order the tries of a rule are made: as written, or what has helped most often first */
  prefer: z.enum(['order', 'best_observed']).default('order'),
  /** what no rule fits is handled as the built-in policy says */
  rules: z.array(recoveryRule).max(100).default([]),
  /** a tool that is called so often with the same arguments, among the last calls and within this time; null: never */
  loops: z
    .strictObject({
      repeats: z.number().int().min(2).max(1000).default(8),
      window: z.number().int().min(2).max(1000).default(24),
      withinMs: delayMs.min(1).default(900_000),
    })
    .nullable()
    .prefault({}),
  /** an attempt that recorded nothing for so long and waits for nothing but itself; null: never */
  stalls: z
    .strictObject({ afterMs: delayMs.min(1_000).default(1_800_000) })
    .nullable()
    .prefault({}),
})
export type RecoveryPolicy = z.infer<typeof recoveryPolicy>

/** Which policy a decision was made by; version 0 is the built-in one. */
export const policyRef = z.object({ name, version: z.number().int().nonnegative() })
export type PolicyRef = z.infer<typeof policyRef>

/** One link of the chain of causes. */
export const causeLink = z.object({
  executionId: z.string().max(200),
  agentId: name.optional(),
  path: stepPath.optional(),
  code: z.string().max(100),
  detail: z.string().max(2000),
  /** class of the error in user code */
  name: z.string().max(200).optional(),
})
export type CauseLink = z.infer<typeof causeLink>

/** An effect that the run has made, for whoever undoes it. */
export const completedEffect = z.object({
  path: stepPath,
  name: z.string().max(200),
  idempotencyKey: z.string().max(200),
  /** absent when it is too large to be carried along: it is in the run's history */
  input: payload.optional(),
  output: payload.optional(),
})
export type CompletedEffect = z.infer<typeof completedEffect>

const timeMs = z.number().int().nonnegative()

/** Everything about a failure that a decision may rest on, as the run's own events tell it. */
export const failureFacts = z.object({
  executionId: callerId,
  agentId: name,
  parentId: callerId.optional(),
  policy: name,
  /** the run's count of the times it waited for a recovery */
  awaiting: z.number().int().positive(),
  /** of the run, when it failed */
  version: z.number().int().positive(),
  attempt: z.number().int().positive().optional(),
  at: timeMs,
  giveUpAt: timeMs,
  error: failure,
  /** the step, or child, whose failure it is; absent when the code failed between steps */
  step: z.object({ path: stepPath, name: z.string().max(200), kind: recordedKind }).optional(),
  /** from what the run saw to the deepest cause that is known */
  chain: z.array(causeLink).min(1).max(50),
  /** attempts lost in a row before it */
  lostAttempts: z.number().int().nonnegative(),
  stepsCompleted: z.number().int().nonnegative(),
  /** where the run can be rolled back to, newest first */
  goodPaths: z.array(stepPath).max(20),
  costMicroCredits: microCredits,
  /** recoveries of this run so far, of all its incidents */
  recoveries: z.number().int().nonnegative(),
  /** the latest of those that were not undone */
  effects: z.array(completedEffect).max(200),
  /** how many of those there are in all */
  effectsMade: z.number().int().nonnegative(),
  /** those that were undone although the run did not go back to before them */
  effectsUndone: effectRanges.optional(),
})
export type FailureFacts = z.infer<typeof failureFacts>

export const compensateAction = z.object({ type: z.literal('compensate'), agentId: name, ...compensationTerms })

/** What a plan may ask for: what the execution context can do, or another run that undoes effects first. */
export const incidentAction = z.discriminatedUnion('type', [...recoveryAction.options, compensateAction])
export type IncidentAction = z.infer<typeof incidentAction>

export const rejectedAlternative = z.object({ strategy: recoveryStrategy, why: z.string().max(1000) })
export type RejectedAlternative = z.infer<typeof rejectedAlternative>

/** `<executionId>.<n>`: the n-th time that the run awaited a recovery began it. */
export const incidentId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,139}\.\d{1,9}$/, 'expected <execution id>.<number>')
export const incidentIdOf = (executionId: string, awaiting: number): string => `${executionId}.${awaiting}`
export const executionOfIncident = (id: string): string => id.slice(0, id.lastIndexOf('.'))

export const incidentStatuses = [
  'intervening', // the run is being interrupted
  'planned', // decided, not yet applied
  'escalated', // a person is asked
  'compensating', // effects are being undone
  'recovering', // applied; whether it helped is not known yet
  'succeeded',
  'given_up',
  'dismissed', // there is nothing left to recover
] as const
export const incidentStatus = z.enum(incidentStatuses)
export type IncidentStatus = z.infer<typeof incidentStatus>
