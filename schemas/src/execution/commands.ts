import { z } from 'zod'
import { type ContextDefinition, type RecordOf, v1 } from '../catalogue.ts'
import { callerId, name } from '../ids.ts'
import { payload } from '../json.ts'
import { executionContextEvents } from './events.ts'
import { agentDefinition, executionOptions, executionOutcome, outcomeResolution, parentRef, stepPath } from './model.ts'

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
      forkedFrom: z.object({ executionId: callerId, uptoPath: stepPath.optional(), seed: payload }).optional(),
    }),
  ),
  SignalExecution: v1(z.object({ signalId: callerId, name, payload })),
  DecideApproval: v1(z.object({ path: stepPath, decision: z.enum(['approved', 'rejected']), comment: reason })),
  PauseExecution: v1(z.object({ reason })),
  ResumeExecution: v1(z.object({})),
  CancelExecution: v1(z.object({ reason })),
  ResolveStepOutcome: v1(z.object({ path: stepPath, resolution: outcomeResolution, comment: reason })),
  /** from a child's owner to the parent */
  DeliverChildOutcome: v1(z.object({ path: stepPath, childId: callerId, outcome: executionOutcome })),
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
