import { z } from 'zod'
import { type ContextDefinition, type RecordOf, v1 } from '../catalogue.ts'
import { errorCode, failure } from '../errors.ts'
import { recoveryAction, stepPath } from '../execution/model.ts'
import { callerId, name } from '../ids.ts'
import { recoveryContextEvents } from './events.ts'
import { failureFacts, incidentAction, recoveryPolicy } from './model.ts'

const timeMs = z.number().int().nonnegative()
const reason = z.string().max(2000).optional()

/**
 * Commands to incidents; the aggregate is `incident:<tenant>/<executionId>.<n>`, n being the run's count of awaited
 * recoveries when it began. All but the last come from whoever follows the execution context, with ids made from what they
 * report, so that a repeated report is decided once.
 */
export const incidentCommands = {
  ReportFailure: v1(z.object({ facts: failureFacts })),
  ProposeIntervention: v1(
    z.object({
      executionId: callerId,
      agentId: name,
      awaiting: z.number().int().positive(),
      kind: z.enum(['loop', 'stall']),
      attempt: z.number().int().positive(),
      error: failure,
    }),
  ),
  ReportApplied: v1(
    z.object({ awaiting: z.number().int().positive(), action: recoveryAction, by: z.string(), at: timeMs }),
  ),
  /** the execution context refused what the incident asked for in this command */
  ReportRefused: v1(
    z.object({ commandId: z.string().max(200), code: errorCode, detail: z.string().max(8192), at: timeMs }),
  ),
  ReportRecovered: v1(
    z.object({
      how: z.enum(['progress', 'completed']),
      path: stepPath.optional(),
      at: timeMs,
      costMicroCredits: z.number().int().nonnegative(),
    }),
  ),
  ReportRunEnded: v1(
    z.object({
      status: z.enum(['completed', 'failed', 'cancelled']),
      at: timeMs,
      detail: z.string().max(2000).optional(),
    }),
  ),
  ReportCompensation: v1(
    z.object({
      executionId: callerId,
      status: z.enum(['completed', 'failed', 'cancelled']),
      at: timeMs,
      detail: z.string().max(2000).optional(),
    }),
  ),
  DecideIncident: v1(z.object({ action: incidentAction, reason })),
} as const
export type IncidentCommand = RecordOf<typeof incidentCommands>

/** The aggregate is `policy:<tenant>/<name>`. */
export const recoveryPolicyCommands = {
  PublishRecoveryPolicy: v1(
    z.object({
      policy: recoveryPolicy,
      note: reason,
      /** the version that the author has seen, 0 for none; absent: whatever it is */
      expectedVersion: z.number().int().nonnegative().optional(),
    }),
  ),
  RetireRecoveryPolicy: v1(z.object({})),
} as const
export type RecoveryPolicyCommand = RecordOf<typeof recoveryPolicyCommands>

export const recoveryContextCommands = { ...incidentCommands, ...recoveryPolicyCommands } as const
export type RecoveryContextCommand = RecordOf<typeof recoveryContextCommands>

export const recoveryContext = {
  name: 'recovery',
  commands: recoveryContextCommands,
  events: recoveryContextEvents,
} as const satisfies ContextDefinition
