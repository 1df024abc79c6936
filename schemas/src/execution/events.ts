import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'
import { failure } from '../errors.ts'
import { callerId, name } from '../ids.ts'
import { payload } from '../json.ts'
import { partitionEvents } from '../log/partition-events.ts'
import {
  agentDefinition,
  effectRanges,
  executionOptions,
  executionOutcome,
  forkOrigin,
  outcomeResolution,
  parentRef,
  recoveryAction,
  runOverrides,
  spentMicroCredits,
  stepPath,
  stepRef,
  usage,
} from './model.ts'

const attempt = z.number().int().positive()
const incident = z.number().int().positive()
const requestHash = z.string().max(64)
const timeMs = z.number().int().nonnegative()
const startedAndTook = { startedAt: timeMs, durationMs: z.number().nonnegative() }

/** Events of one execution, in the order in which a life can show them. */
export const executionEvents = {
  ExecutionRequested: v1(
    z.object({
      executionId: callerId,
      agentId: name,
      input: payload,
      /** hash of agent and input: the same id with another hash is a conflict */
      requestHash,
      options: executionOptions,
      parent: parentRef.optional(),
      forkedFrom: forkOrigin.optional(),
      overrides: runOverrides.optional(),
    }),
  ),
  PermitGranted: v1(z.object({ key: name })),
  /** a worker was handed the run; fences every smaller attempt */
  ExecutionStarted: v1(z.object({ attempt, workerId: z.string(), runtime: z.string().max(200).optional() })),

  /** with `intent`: accepted before the effect is made, so that a crash leaves a known unknown */
  StepStarted: v1(
    stepRef.extend({
      input: payload.optional(),
      intent: z
        .object({
          idempotencyKey: z.string().max(200),
          reservedMicroCredits: z.number().int().nonnegative().default(0),
        })
        .optional(),
    }),
  ),
  StepCompleted: v1(
    stepRef.extend({ input: payload.optional(), output: payload, usage: usage.optional(), ...startedAndTook }),
  ),
  /** `retryAt` null means the step failed for good */
  StepFailed: v1(
    stepRef.extend({
      input: payload.optional(),
      error: failure,
      usage: usage.optional(),
      retryAt: timeMs.nullable(),
      ...startedAndTook,
    }),
  ),
  /** an attempt ended between the intent and the result of an effect */
  StepOutcomeUnknown: v1(z.object({ path: stepPath, idempotencyKey: z.string().max(200), lostAttempt: attempt })),
  StepOutcomeResolved: v1(
    z.object({
      path: stepPath,
      resolution: outcomeResolution,
      by: z.string(),
      comment: z.string().max(2000).optional(),
    }),
  ),

  TimerStarted: v1(z.object({ attempt, path: stepPath, requestHash, fireAt: timeMs })),
  TimerFired: v1(z.object({ path: stepPath })),

  SignalReceived: v1(z.object({ signalId: callerId, name, payload })),
  WaitStarted: v1(z.object({ attempt, path: stepPath, requestHash, name, timeoutAt: timeMs.optional() })),
  /** without `signalId`: it timed out */
  WaitResolved: v1(z.object({ path: stepPath, signalId: callerId.optional() })),

  ApprovalRequested: v1(
    z.object({
      attempt,
      path: stepPath,
      requestHash,
      title: z.string().max(500),
      details: payload.optional(),
      timeoutAt: timeMs.optional(),
    }),
  ),
  ApprovalDecided: v1(
    z.object({
      path: stepPath,
      decision: z.enum(['approved', 'rejected', 'timed_out']),
      by: z.string(),
      comment: z.string().max(2000).optional(),
    }),
  ),

  ChildRequested: v1(
    z.object({
      attempt,
      path: stepPath,
      requestHash,
      childId: callerId,
      agentId: name,
      input: payload,
      /** under a budget with a budget of its own: what the child is granted */
      options: executionOptions,
      /** those of the parent when it asked */
      overrides: runOverrides.optional(),
    }),
  ),
  ChildFinished: v1(z.object({ path: stepPath, childId: callerId, outcome: executionOutcome, spentMicroCredits })),

  /** the run left its worker and holds no slot; the next attempt starts from the journal */
  ExecutionSuspended: v1(z.object({ attempt, reason: z.enum(['waiting', 'drained']) })),
  AttemptLost: v1(
    z.object({
      attempt,
      workerId: z.string(),
      reason: z.enum(['disconnected', 'heartbeat_missed', 'reported_by_worker', 'engine_restarted']),
      detail: z.string().max(2000).optional(),
    }),
  ),
  /** the agent function threw and the policy allows another attempt */
  AttemptFailed: v1(
    z.object({
      attempt,
      error: failure,
      retryAt: timeMs,
      /** the failed steps that the next attempt runs anew; absent: all of them */
      rerun: z.array(stepPath).optional(),
    }),
  ),
  /** the run failed for good but for what its recovery decides; without a decision until `giveUpAt` it fails with `error` */
  RecoveryAwaited: v1(
    z.object({
      /** counts up from 1 in each run */
      incident,
      attempt: attempt.optional(),
      error: failure,
      giveUpAt: timeMs,
      /** as in AttemptFailed */
      rerun: z.array(stepPath).optional(),
    }),
  ),
  /** with `hold` the run still waits; giving up is an ExecutionFailed instead */
  ExecutionRecovered: v1(
    z.object({
      incident,
      action: recoveryAction,
      by: z.string(),
      reason: z.string().max(2000).optional(),
      /** what compensations have undone stays undone, whatever becomes of the run */
      effectsUndone: effectRanges.optional(),
    }),
  ),
  /** what was recorded after `toPath`, in the order of settlement, is forgotten, and so is everything open */
  ExecutionRolledBack: v1(
    z.object({
      toPath: stepPath.nullable(),
      /** roll backs of this run so far; part of the ids of children and of the keys of effects from here on */
      generation: z.number().int().positive(),
      by: z.string(),
      reason: z.string().max(2000).optional(),
      overrides: runOverrides.optional(),
    }),
  ),
  ExecutionPaused: v1(z.object({ by: z.string(), reason: z.string().max(2000).optional() })),
  ExecutionResumed: v1(z.object({ by: z.string() })),

  ExecutionCompleted: v1(z.object({ attempt, output: payload })),
  ExecutionFailed: v1(z.object({ attempt: attempt.optional(), error: failure })),
  ExecutionCancelled: v1(z.object({ by: z.string(), reason: z.string().max(2000).optional() })),
  /** the parent's partition has the outcome; nothing is left to do for a child */
  OutcomeDelivered: v1(z.object({ parentId: callerId })),
  /** the permit went back to its pool; nothing is left to do for a limited run */
  PermitReturned: v1(z.object({ key: name })),
} as const
export type ExecutionEvent = RecordOf<typeof executionEvents>

/** Events of a tenant's agent: what can be started. */
export const agentEvents = {
  AgentRegistered: v1(z.object({ definition: agentDefinition, definitionHash: z.string() })),
} as const
export type AgentEvent = RecordOf<typeof agentEvents>

/** Events of one concurrency key's pool of permits. */
export const permitEvents = {
  PermitQueued: v1(z.object({ executionId: callerId, limit: z.number().int().positive(), priority: z.number().int() })),
  PermitIssued: v1(z.object({ executionId: callerId })),
  PermitReleased: v1(z.object({ executionId: callerId })),
} as const
export type PermitEvent = RecordOf<typeof permitEvents>

export const executionContextEvents = {
  ...partitionEvents,
  ...executionEvents,
  ...agentEvents,
  ...permitEvents,
} as const
export type ExecutionContextEvent = RecordOf<typeof executionContextEvents>
