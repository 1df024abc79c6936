import type { AcceptedEvent } from '@omium/log'
import type { CopyValue } from '@omium/projection-kit'
import type { ExecutionEvent } from '@omium/schemas'
import type { ExecutionRow } from './execution-row.ts'

/** Events and executions as rows of their tables. */

export const eventColumns = [
  'tenant',
  'execution_id',
  'version',
  'event_id',
  'type',
  'time',
  'actor',
  'command_id',
  'partition',
  'log_offset',
  'data',
  'path',
  'step_name',
  'step_kind',
  'attempt',
  'step_attempt',
  'started_at',
  'duration_ms',
  'model',
  'input_tokens',
  'output_tokens',
  'cost_micro_credits',
  'settles',
] as const

/** `YYYY-MM-DDTHH:MM:SS.sssZ` */
export const timestamp = (ms: number): string => new Date(ms).toISOString()

/** @param apart it settles nothing at its path and belongs to no timeline */
export const eventRow = (executionId: string, event: AcceptedEvent, apart = false): CopyValue[] => {
  const { envelope, data, type, partition, offset } = event
  const step = data as Partial<Extract<ExecutionEvent, { type: 'StepFailed' }>['data']> & { attempt?: number }
  const { usage } = step
  return [
    envelope.tenant,
    executionId,
    envelope.version,
    envelope.id,
    type,
    timestamp(envelope.time),
    envelope.actor,
    envelope.commandId,
    partition,
    offset,
    JSON.stringify(data),
    apart ? null : step.path,
    step.name,
    step.kind ?? kindByType[type],
    step.attempt,
    step.stepAttempt,
    step.startedAt === undefined ? null : timestamp(step.startedAt),
    step.durationMs,
    usage?.model,
    usage?.inputTokens,
    usage?.outputTokens,
    usage?.costMicroCredits,
    apart || step.path === undefined ? null : settles(event),
  ]
}

/** Whether the event gives its path a result that counts, as the engine's fold has it. */
const settles = ({ type, data }: AcceptedEvent): boolean => {
  switch (type) {
    case 'StepCompleted':
    case 'TimerFired':
    case 'WaitResolved':
    case 'ApprovalDecided':
    case 'ChildFinished':
      return true
    case 'StepFailed':
      return (data as { retryAt: number | null }).retryAt === null
    case 'StepOutcomeResolved':
      return (data as { resolution: { status: string } }).resolution.status !== 'retry'
    default:
      return false
  }
}

/** Journal entries that no worker runs have a kind of their own, see the worker protocol. */
const kindByType: Readonly<Record<string, string>> = {
  TimerStarted: 'timer',
  WaitStarted: 'wait',
  ApprovalRequested: 'approval',
  ChildRequested: 'child',
}

export const executionColumns = [
  'tenant',
  'id',
  'agent',
  'status',
  'attempt',
  'pending',
  'steps_completed',
  'cost_micro_credits',
  'input_tokens',
  'output_tokens',
  'options',
  'input',
  'output',
  'error',
  'parent_id',
  'forked_from',
  'forked_upto',
  'generation',
  'labels',
  'created_at',
  'started_at',
  'finished_at',
  'version',
  'partition',
  'log_offset',
] as const

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value))
const time = (ms: number | null): string | null => (ms === null ? null : timestamp(ms))

export const executionRow = (row: ExecutionRow): CopyValue[] => [
  row.tenant,
  row.id,
  row.agent,
  row.status,
  row.attempt,
  JSON.stringify(row.pending),
  row.stepsCompleted,
  row.costMicroCredits,
  row.inputTokens,
  row.outputTokens,
  JSON.stringify(row.options),
  json(row.input),
  json(row.output),
  json(row.error),
  row.parentId,
  row.forkedFrom,
  row.forkedToPath,
  row.generation,
  json(row.options.labels ?? null),
  timestamp(row.createdAt),
  time(row.startedAt),
  time(row.finishedAt),
  row.version,
  row.partition,
  row.offset,
]
