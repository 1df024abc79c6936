import type { AcceptedEvent } from '@omium/log'
import {
  type AgentRecord,
  type EventRecord,
  type ExecutionRecord,
  type FailureRecord,
  type StepRecord,
  waitingFor,
} from '@omium/projection-executions'
import type {
  agentView,
  ChargeView,
  EventView,
  ExecutionView,
  Failure,
  FailureView,
  JsonValue,
  Payload,
  StepView,
} from '@omium/schemas'
import { isTerminal } from '@omium/schemas'
import type { z } from 'zod'
import type { Payloads } from './payloads.ts'

/** Records of the read model, and live events, in the shapes of the API. */

export const executionSummary = (record: ExecutionRecord): ExecutionView => {
  const { recovery } = record.pending
  const waiting = waitingFor(record.status, record.pending, record.options)
  return {
    id: record.id,
    agent: record.agent,
    status: record.status,
    ...(record.error && { error: record.error }),
    attempt: record.attempt,
    ...(waiting.length > 0 && { waitingFor: waiting }),
    stepsCompleted: record.stepsCompleted,
    costMicroCredits: record.costMicroCredits,
    inputTokens: record.inputTokens,
    outputTokens: record.outputTokens,
    options: record.options,
    ...(record.parentId !== null && { parentId: record.parentId }),
    ...(record.forkedFrom !== null && { forkedFrom: record.forkedFrom }),
    ...(record.forkedToPath !== null && { forkedToPath: record.forkedToPath }),
    ...(record.generation > 0 && { generation: record.generation }),
    ...(recovery && { recovery: { ...recovery, giveUpAt: new Date(recovery.giveUpAt).toISOString() } }),
    createdAt: record.createdAt.toISOString(),
    ...(record.startedAt && { startedAt: record.startedAt.toISOString() }),
    ...(record.finishedAt && { finishedAt: record.finishedAt.toISOString() }),
    version: record.version,
    position: `${record.partition}:${record.offset}`,
  }
}

/** With input and output, fetched from object storage when they are large. */
export const executionDetail = async (record: ExecutionRecord, payloads: Payloads): Promise<ExecutionView> => ({
  ...executionSummary(record),
  ...(record.input && { input: await payloads.open(record.input) }),
  ...(record.output && { output: await payloads.open(record.output) }),
})

export const eventViewOf = (record: EventRecord): EventView => ({
  id: record.id,
  type: record.type,
  version: record.version,
  time: record.time.toISOString(),
  actor: record.actor,
  ...(record.commandId !== null && { commandId: record.commandId }),
  position: `${record.partition}:${record.offset}`,
  data: record.data,
})

const liveViews = new WeakMap<AcceptedEvent, EventView>()

/** One view for all who watch. */
export const liveEventView = (accepted: AcceptedEvent): EventView => {
  const known = liveViews.get(accepted)
  if (known) return known
  const { envelope, type, data, partition, offset } = accepted
  const view = {
    id: envelope.id,
    type,
    version: envelope.version,
    time: new Date(envelope.time).toISOString(),
    actor: envelope.actor,
    ...(envelope.commandId !== undefined && { commandId: envelope.commandId }),
    position: `${partition}:${offset}`,
    data: data as JsonValue,
  }
  liveViews.set(accepted, view)
  return view
}

const chargeViews = new WeakMap<AcceptedEvent, EventView>()

/** As {@link liveEventView}, with nothing but what the step used and cost. */
export const liveChargeView = (accepted: AcceptedEvent): EventView => {
  const known = chargeViews.get(accepted)
  if (known) return known
  const { attempt, path, name, kind, stepAttempt, usage } = accepted.data as ChargeView['data']
  const view = { ...liveEventView(accepted), data: { attempt, path, name, kind, stepAttempt, usage } as JsonValue }
  chargeViews.set(accepted, view)
  return view
}

export const failureViewOf = ({
  executionId,
  agent,
  code,
  detail,
  stepPath,
  attempt,
  time,
  final,
}: FailureRecord): FailureView => ({
  executionId,
  agent,
  code,
  detail,
  ...(stepPath !== null && { stepPath }),
  attempt,
  time: time.toISOString(),
  final,
})

export const agentViewOf = ({ agent, definition, registeredAt }: AgentRecord): z.infer<typeof agentView> => ({
  agent,
  ...(definition.description !== undefined && { description: definition.description }),
  ...(definition.inputSchema && { inputSchema: definition.inputSchema }),
  registeredAt: registeredAt.toISOString(),
})

/** The fields of step events that the timeline shows; every one is absent from some event. */
interface StepData {
  readonly attempt?: number
  readonly name?: string
  readonly kind?: string
  readonly stepAttempt?: number
  readonly input?: Payload
  readonly output?: Payload
  readonly error?: Failure
  readonly usage?: { model?: string; inputTokens?: number; outputTokens?: number; costMicroCredits?: number }
  readonly startedAt?: number
  readonly durationMs?: number
  readonly retryAt?: number | null
  readonly resolution?: { status: string; output?: Payload; error?: Failure }
  readonly outcome?: { status: string; output?: Payload; error?: Failure }
  readonly title?: string
  readonly agentId?: string
  readonly decision?: string
  readonly by?: string
  readonly comment?: string
  readonly signalId?: string
}

const kinds: Readonly<Record<string, string>> = {
  TimerStarted: 'timer',
  WaitStarted: 'wait',
  ApprovalRequested: 'approval',
  ChildRequested: 'child',
}

type StepStatus = StepView['status']

/** How a step stands, from its last event. A running step of a run that no worker has will be run again: it is pending. */
const statusOf = (lastType: string, last: StepData, running: boolean): StepStatus => {
  switch (lastType) {
    case 'StepStarted':
      return running ? 'running' : 'pending'
    case 'StepFailed':
      return last.retryAt === null ? 'failed' : 'retrying'
    case 'StepOutcomeUnknown':
      return 'unknown'
    case 'StepOutcomeResolved':
      return last.resolution?.status === 'retry' ? 'retrying' : (last.resolution?.status as StepStatus)
    case 'ChildFinished':
      return last.outcome?.status === 'completed' ? 'completed' : 'failed'
    case 'StepCompleted':
    case 'TimerFired':
    case 'WaitResolved':
    case 'ApprovalDecided':
      return 'completed'
    default:
      return 'pending'
  }
}

const outputOf = (lastType: string, last: StepData): Payload | undefined => {
  if (lastType === 'ApprovalDecided') {
    return {
      inline: {
        approved: last.decision === 'approved',
        by: last.by ?? '',
        ...(last.comment && { comment: last.comment }),
      },
    }
  }
  if (lastType === 'WaitResolved') {
    return { inline: last.signalId === undefined ? { timedOut: true } : { timedOut: false, signalId: last.signalId } }
  }
  return last.output ?? last.resolution?.output ?? last.outcome?.output
}

export const stepViewOf = async (
  { path, firstType, firstData, firstTime, lastType, lastData, lastTime, supersededBy }: StepRecord,
  execution: ExecutionRecord,
  payloads: Payloads,
): Promise<StepView> => {
  const first = firstData as StepData
  const last = lastData as StepData
  const status = statusOf(lastType, last, execution.status === 'running')
  const settled = status === 'completed' || status === 'failed'
  const input = first.input ?? last.input
  const output = outputOf(lastType, last)
  const error = last.error ?? last.resolution?.error ?? last.outcome?.error
  const startedAt = last.startedAt ?? first.startedAt ?? firstTime.getTime()
  const durationMs = last.durationMs ?? (settled ? lastTime.getTime() - startedAt : undefined)
  const { usage } = last
  return {
    path,
    name: first.name ?? first.title ?? first.agentId ?? path,
    kind: first.kind ?? kinds[firstType] ?? 'step',
    status,
    executionAttempt: last.attempt ?? first.attempt ?? execution.attempt,
    stepAttempt: last.stepAttempt ?? first.stepAttempt ?? 1,
    ...(input && { input: await payloads.open(input) }),
    ...(output && { output: await payloads.open(output) }),
    ...(error && { error }),
    ...(usage?.model !== undefined && { model: usage.model }),
    ...(usage?.inputTokens !== undefined && { inputTokens: usage.inputTokens }),
    ...(usage?.outputTokens !== undefined && { outputTokens: usage.outputTokens }),
    ...(usage?.costMicroCredits !== undefined && { costMicroCredits: usage.costMicroCredits }),
    startedAt: new Date(startedAt).toISOString(),
    ...(settled && {
      finishedAt: new Date(durationMs === undefined ? lastTime : startedAt + durationMs).toISOString(),
    }),
    ...(durationMs !== undefined && { durationMs }),
    ...(supersededBy !== null && { superseded: true }),
  }
}

/** Nothing of a run's fate changes after it. */
export const isTerminalEvent = (type: string): boolean =>
  type.startsWith('Execution') && isTerminal(type.slice('Execution'.length).toLowerCase() as 'completed')
