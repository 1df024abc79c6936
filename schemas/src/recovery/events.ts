import { z } from 'zod'
import { type RecordOf, v1 } from '../catalogue.ts'
import { failure } from '../errors.ts'
import { recoveryAction, stepPath } from '../execution/model.ts'
import { callerId, name } from '../ids.ts'
import { partitionEvents } from '../log/partition-events.ts'
import {
  causeLink,
  failureClass,
  failureFacts,
  incidentAction,
  policyRef,
  recoveryPolicy,
  recoveryStrategy,
  rejectedAlternative,
} from './model.ts'

const timeMs = z.number().int().nonnegative()
const plan = z.number().int().positive()
const why = z.string().max(4000)
const diagnosis = {
  facts: failureFacts,
  class: failureClass,
  /** what the class was read from */
  classifiedBy: z.string().max(500),
  /** the same for failures of the same kind */
  fingerprint: z.string().max(64),
  rootCause: causeLink,
}
const tried = { plan, strategy: recoveryStrategy, class: failureClass, fingerprint: z.string().max(64) }

/** Events of one incident: a failure of a run until it is overcome or given up. */
export const incidentEvents = {
  /** decided before the run has failed at all: it goes round in circles, or stands still */
  InterventionDecided: v1(
    z.object({
      executionId: callerId,
      agentId: name,
      awaiting: z.number().int().positive(),
      kind: z.enum(['loop', 'stall']),
      attempt: z.number().int().positive(),
      error: failure,
      why,
    }),
  ),
  /** its attempt had ended by itself */
  InterventionRefused: v1(z.object({ why })),
  IncidentOpened: v1(z.object(diagnosis)),
  /** the run failed again before it got past the failure */
  FailureRecurred: v1(z.object(diagnosis)),
  RecoveryPlanned: v1(
    z.object({
      plan,
      awaiting: z.number().int().positive(),
      strategy: recoveryStrategy,
      action: incidentAction,
      why,
      /** how often this strategy was tried in this incident for failures of this class, this time included, and may be */
      attempt: z.number().int().positive(),
      of: z.number().int().positive(),
      costMicroCredits: z.number().int().nonnegative(),
      alternatives: z.array(rejectedAlternative).max(50),
      policy: policyRef,
      by: z.string(),
    }),
  ),
  EscalatedToPerson: v1(z.object({ plan, question: why, untilMs: timeMs })),
  DecidedByPerson: v1(z.object({ by: z.string(), action: incidentAction, reason: z.string().max(2000).optional() })),
  /** one run of the agent for each page of the effects, one after the other, the latest effects first */
  CompensationStarted: v1(
    z.object({
      plan,
      executionId: callerId,
      agentId: name,
      /** of this page */
      effects: z.number().int().nonnegative(),
      page: z.number().int().positive(),
      pages: z.number().int().positive(),
    }),
  ),
  CompensationFinished: v1(
    z.object({ executionId: callerId, status: z.enum(['completed', 'failed', 'cancelled']), detail: why.optional() }),
  ),
  /** the run goes on as this says */
  RecoveryApplied: v1(z.object({ plan, action: recoveryAction, by: z.string(), at: timeMs })),
  RecoveryFailed: v1(z.object({ ...tried, why })),
  RecoverySucceeded: v1(
    z.object({
      ...tried,
      /** the run got past the failure, or to its end */
      how: z.enum(['progress', 'completed']),
      path: stepPath.optional(),
      /** from the failure to this moment */
      recoveredInMs: z.number().int().nonnegative(),
      attempts: z.number().int().nonnegative(),
      costMicroCredits: z.number().int().nonnegative(),
    }),
  ),
  GivenUp: v1(z.object({ why, by: z.string(), at: timeMs })),
  IncidentDismissed: v1(z.object({ why, at: timeMs })),
} as const
export type IncidentEvent = RecordOf<typeof incidentEvents>

/** Events of a tenant's policy. Versions count up from 1 and never change. */
export const recoveryPolicyEvents = {
  RecoveryPolicyPublished: v1(
    z.object({
      version: z.number().int().positive(),
      policy: recoveryPolicy,
      by: z.string(),
      note: z.string().max(2000).optional(),
    }),
  ),
  /** runs that name it are handled by the built-in policy from now on */
  RecoveryPolicyRetired: v1(z.object({ by: z.string() })),
} as const
export type RecoveryPolicyEvent = RecordOf<typeof recoveryPolicyEvents>

export const recoveryContextEvents = { ...partitionEvents, ...incidentEvents, ...recoveryPolicyEvents } as const
export type RecoveryContextEvent = RecordOf<typeof recoveryContextEvents>
