import { type AggregateType, hashJson, type RunEnd, type WorkflowContextCommand } from '@omium/schemas'
import type { ScheduleState } from './schedule.ts'
import type { TriggerState } from './trigger.ts'
import { hasListeners, type RunState, type WorkflowState } from './workflow.ts'

/**
 * What aggregates owe to others. Derived from their states, never stored: whoever takes the partition over derives the same,
 * with the same ids, and sends it again.
 */
export type Owed = OwedStart | OwedCancel | OwedCommand

/** the execution of a run is to be started */
export interface OwedStart {
  readonly what: 'start'
  readonly id: string
  readonly run: RunState
}
/** the execution of a run is to be cancelled */
export interface OwedCancel {
  readonly what: 'cancel'
  readonly id: string
  readonly run: RunState
}
/** a command to another aggregate of this context */
export interface OwedCommand {
  readonly what: 'command'
  readonly id: string
  readonly to: { readonly type: AggregateType; readonly id: string }
  readonly command: WorkflowContextCommand
  /** recorded once it is on the log */
  readonly receipt: {
    readonly type: 'ScheduledRunRequested' | 'TriggeredRunRequested' | 'WorkflowRunReported'
    readonly runId: string
  } | null
}

const idOf = (what: string, ...parts: (string | number)[]): string => `cmd_wf${what}_${hashJson(parts).slice(0, 32)}`

export const startCommandId = (tenant: string, runId: string): string => idOf('start', tenant, runId)

/** In the order in which they have to be sent. */
export const owedByWorkflow = (state: WorkflowState): Owed[] =>
  Object.values(state.runs).flatMap((run): Owed[] => {
    if (run.ended) return reports(state, run, run.ended.end)
    const owed: Owed[] = []
    if (!run.started) owed.push({ what: 'start', id: startCommandId(state.tenant, run.runId), run })
    if (run.superseded) owed.push({ what: 'cancel', id: idOf('cancel', state.tenant, run.runId), run })
    return owed
  })

const reports = (state: WorkflowState, run: RunState, end: RunEnd): Owed[] => {
  if (!hasListeners(state, run)) return []
  const { tenant, workflowId } = state
  const { runId } = run
  const owed: Omit<OwedCommand, 'receipt'>[] = []
  const report = reportOf(tenant, run.source, runId, end)
  if (report) owed.push(report)
  const output = run.ended?.output
  const event = {
    type: 'workflow_ended',
    workflow: workflowId,
    runId,
    status: end.status,
    ...(end.code !== undefined && { code: end.code }),
    ...(end.detail !== undefined && { detail: end.detail }),
    ...(output && 'inline' in output && { output: output.inline }),
  }
  const chain = (run.source.type === 'trigger' ? (run.source.chain ?? 0) : 0) + 1
  for (const triggerId of Object.keys(state.subscribers)) {
    owed.push({
      what: 'command',
      id: idOf('fire', tenant, triggerId, runId),
      to: { type: 'trigger', id: triggerId },
      command: { type: 'FireTrigger', data: { eventId: runId, event, chain } },
    })
  }
  const last = owed.length - 1
  return owed.map((command, i) => ({
    ...command,
    receipt: i === last ? { type: 'WorkflowRunReported', runId } : null,
  }))
}

/** Tells whoever started a run how it ended, or that it was refused. */
export const reportOf = (
  tenant: string,
  source: RunState['source'],
  runId: string,
  end: RunEnd,
): Omit<OwedCommand, 'receipt'> | undefined => {
  if (source.type === 'schedule')
    return {
      what: 'command',
      id: idOf('report', tenant, source.scheduleId, runId, end.status),
      to: { type: 'schedule', id: source.scheduleId },
      command: { type: 'ReportScheduledRun', data: { runId, end } },
    }
  if (source.type === 'trigger')
    return {
      what: 'command',
      id: idOf('report', tenant, source.triggerId, runId, end.status),
      to: { type: 'trigger', id: source.triggerId },
      command: { type: 'ReportTriggeredRun', data: { runId, end } },
    }
  return undefined
}

export const owedBySchedule = ({ tenant, scheduleId, runs }: ScheduleState): Owed[] =>
  Object.values(runs).flatMap((run): Owed[] => {
    const { runId, nominalAt, spec } = run
    const to = { type: 'workflow', id: spec.workflow } as const
    const owed: Owed[] = []
    if (!run.requested) {
      const { version, parameters, options } = spec
      const source = { type: 'schedule', scheduleId, nominalAt } as const
      const requestHash = hashJson([version ?? null, parameters]).slice(0, 16)
      const data = { runId, parameters, requestHash, source, ...(version && { version }), ...(options && { options }) }
      owed.push({
        what: 'command',
        id: idOf('run', tenant, runId),
        to,
        command: { type: 'RunWorkflow', data },
        receipt: { type: 'ScheduledRunRequested', runId },
      })
    }
    if (run.superseded)
      owed.push({
        what: 'command',
        id: idOf('supersede', tenant, runId),
        to,
        command: { type: 'SupersedeWorkflowRun', data: { runId } },
        receipt: null,
      })
    return owed
  })

export const owedByTrigger = (state: TriggerState): Owed[] => {
  const { tenant, triggerId, generation, spec, unsubscribe, status } = state
  const owed: Owed[] = unsubscribe.map((workflow) => ({
    what: 'command',
    id: idOf('unsubscribe', tenant, triggerId, workflow, generation),
    to: { type: 'workflow', id: workflow },
    command: { type: 'UnsubscribeFromWorkflow', data: { triggerId } },
    receipt: null,
  }))
  if (spec.source.type === 'workflow' && status !== 'deleted')
    owed.push({
      what: 'command',
      id: idOf('subscribe', tenant, triggerId, spec.source.workflow, generation),
      to: { type: 'workflow', id: spec.source.workflow },
      command: { type: 'SubscribeToWorkflow', data: { triggerId } },
      receipt: null,
    })
  for (const { runId, eventId, parameters, chain, spec: fired } of Object.values(state.runs)) {
    const { version, options } = fired
    const source = { type: 'trigger', triggerId, eventId, ...(chain !== undefined && { chain }) } as const
    const requestHash = hashJson([version ?? null, parameters]).slice(0, 16)
    const data = { runId, parameters, requestHash, source, ...(version && { version }), ...(options && { options }) }
    owed.push({
      what: 'command',
      id: idOf('run', tenant, runId),
      to: { type: 'workflow', id: fired.workflow },
      command: { type: 'RunWorkflow', data },
      receipt: { type: 'TriggeredRunRequested', runId },
    })
  }
  return owed
}
