import type { EventReader, Following, Work } from '@omium/kit'
import type { AcceptedEvent, LogContext } from '@omium/log'
import {
  aggregateKey,
  type EventEnvelope,
  type ExecutionEvent,
  hashJson,
  type JsonValue,
  parseAggregateKey,
  type RunEnd,
  workflowOfRun,
} from '@omium/schemas'
import type { Commands } from './ports.ts'

/**
 * Follows the log of executions for the ends of workflows' runs, which their ids tell apart, and tells the workflows. Nothing
 * is remembered from one event to the next; an end that is told twice has the same command id, and counts once.
 */
const terminal = new Set(['ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled'])
const startPrefix = 'cmd_wfstart_'

interface SeenEnd extends Work {
  readonly tenant: string
  readonly workflow: string
  readonly runId: string
  readonly correlationId: string
  readonly data: JsonValue
}

const isRun = (aggregate: string): boolean => {
  const key = parseAggregateKey(aggregate)
  return key?.type === 'execution' && workflowOfRun(key.id) !== undefined
}

const wants = ({ type, aggregate, commandId }: EventEnvelope): boolean =>
  (terminal.has(type) || (type === 'CommandRejected' && (commandId?.startsWith(startPrefix) ?? false))) &&
  isRun(aggregate)

const endOf = (event: AcceptedEvent): { end: RunEnd; output?: JsonValue } => {
  if (event.type === 'CommandRejected') {
    const { code, detail } = event.data as { code: string; detail: string }
    return { end: { status: 'refused', code, detail: detail.slice(0, 8192) } }
  }
  const { type, data } = { type: event.type, data: event.data } as ExecutionEvent
  if (type === 'ExecutionCompleted') return { end: { status: 'completed' }, output: data.output as JsonValue }
  if (type === 'ExecutionFailed') {
    const { code, detail } = data.error
    return { end: { status: 'failed', code, detail } }
  }
  const { reason } = data as { reason?: string }
  return { end: { status: 'cancelled', ...(reason !== undefined && { detail: reason }) } }
}

const seenOf = (event: AcceptedEvent): SeenEnd[] => {
  const { aggregate, tenant, correlationId } = event.envelope
  const runId = parseAggregateKey(aggregate)?.id ?? ''
  const workflow = workflowOfRun(runId)
  if (!workflow) return []
  return [{ aggregate, tenant, workflow, runId, correlationId, data: { runId, ...endOf(event) } as JsonValue }]
}

/** @param executions what is followed @param workflows takes the commands */
export const followEnds = (executions: LogContext, workflows: Commands): Following<object, SeenEnd> => {
  const reader: EventReader<object, SeenEnd> = {
    wants,
    observe: seenOf,
    async perform({ tenant, workflow, runId, correlationId, data }) {
      await workflows.send({
        id: `cmd_wfend_${hashJson([tenant, runId]).slice(0, 32)}`,
        type: 'EndWorkflowRun',
        data,
        aggregate: aggregateKey('workflow', tenant, workflow),
        tenant,
        actor: 'system',
        correlationId,
      })
    },
    memory: () => ({}),
  }
  return { context: executions, name: 'workflow', version: 1, begin: () => reader }
}
