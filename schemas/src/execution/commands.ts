import { z } from 'zod'
import { type ContextDefinition, type RecordOf, v1 } from '../catalogue.ts'
import { failure } from '../errors.ts'
import { callerId, name } from '../ids.ts'
import { payload } from '../json.ts'
import { executionContextEvents } from './events.ts'
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
} from './model.ts'

const reason = z.string().max(2000).optional()

/** Commands to executions; the aggregate is `execution:<tenant>/<executionId>`. Who asks is the envelope's actor. */
export const executionCommands = {
  StartExecution: v1(
    z.object({
      executionId: callerId,
      agentId: name,
      input: payload,
      requestHash: z.string().max(64),
      options: executionOptions,
      parent: parentRef.optional(),
      forkedFrom: forkOrigin.optional(),
      overrides: runOverrides.optional(),
    }),
  ),
  SignalExecution: v1(z.object({ signalId: callerId, name, payload })),
  DecideApproval: v1(z.object({ path: stepPath, decision: z.enum(['approved', 'rejected']), comment: reason })),
  PauseExecution: v1(z.object({ reason })),
  ResumeExecution: v1(z.object({})),
  CancelExecution: v1(z.object({ reason })),
  ResolveStepOutcome: v1(z.object({ path: stepPath, resolution: outcomeResolution, comment: reason })),
  /** forgets what was recorded after `toPath` (null: everything that the run itself recorded) and goes on from there */
  RollBackExecution: v1(z.object({ toPath: stepPath.nullable(), reason, overrides: runOverrides.optional() })),
  /** ends the live attempt as if the code had thrown this, e.g. because it hangs or goes round in circles */
  InterruptExecution: v1(
    z.object({
      error: failure,
      /** the attempt that is meant; absent: whichever lives */
      attempt: z.number().int().positive().optional(),
    }),
  ),
  /** from the recovery orchestrator, or a person, to a run in `recovering` */
  RecoverExecution: v1(
    z.object({
      incident: z.number().int().positive(),
      action: recoveryAction,
      reason,
      /** effects that compensations have undone since the run last went back to before all of them */
      effectsUndone: effectRanges.optional(),
    }),
  ),
  /** from a child's owner to the parent */
  DeliverChildOutcome: v1(
    z.object({ path: stepPath, childId: callerId, outcome: executionOutcome, spentMicroCredits }),
  ),
  /** from a permit pool to the run that waits */
  GrantPermit: v1(z.object({ key: name })),
} as const
export type ExecutionCommand = RecordOf<typeof executionCommands>

/** The aggregate is `agent:<tenant>/<agentId>`. */
export const agentCommands = {
  RegisterAgent: v1(z.object({ definition: agentDefinition, definitionHash: z.string() })),
} as const
export type AgentCommand = RecordOf<typeof agentCommands>

/** The aggregate is `permits:<tenant>/<key>`. */
export const permitCommands = {
  AcquirePermit: v1(
    z.object({ executionId: callerId, limit: z.number().int().positive(), priority: z.number().int() }),
  ),
  ReleasePermit: v1(z.object({ executionId: callerId })),
} as const
export type PermitCommand = RecordOf<typeof permitCommands>

export const executionContextCommands = { ...executionCommands, ...agentCommands, ...permitCommands } as const
export type ExecutionContextCommand = RecordOf<typeof executionContextCommands>

export const executionContext = {
  name: 'execution',
  commands: executionContextCommands,
  events: executionContextEvents,
} as const satisfies ContextDefinition
