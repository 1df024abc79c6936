import {
  type JsonValue,
  type RunEnd,
  type ScheduleEvent,
  scheduleSpec,
  type TriggerEvent,
  type WorkflowEvent,
} from '@omium/schemas'

/** Events as the workflow manager writes them. */
export const created = (version: number, more: { name?: string; description?: string } = {}): WorkflowEvent => ({
  type: 'WorkflowVersionCreated',
  data: {
    workflowId: 'w',
    version,
    name: 'W',
    bundle: { inline: {} },
    bundleHash: `hash ${version}`,
    by: 'k',
    ...more,
  },
})

export const requested = (runId: string, version = 1): WorkflowEvent => ({
  type: 'WorkflowRunRequested',
  data: { runId, version, parameters: { inline: {} }, requestHash: 'h', source: { type: 'request' } },
})

export const ended = (runId: string, status: RunEnd['status'] = 'completed'): WorkflowEvent => ({
  type: 'WorkflowRunEnded',
  data: { runId, end: { status } },
})

export const put = (workflow: string, from: number, parameters: JsonValue = {}): ScheduleEvent => ({
  type: 'SchedulePut',
  data: {
    scheduleId: 's',
    spec: scheduleSpec.parse({ workflow, cron: '* * * * *', parameters: { inline: parameters } }),
    from,
    by: 'k',
  },
})

export const fired = (nominalAt: number, runId: string): ScheduleEvent => ({
  type: 'ScheduleFired',
  data: { nominalAt, runId, late: false },
})

export const skipped = (from: number, to: number, count: number): ScheduleEvent => ({
  type: 'ScheduleSkipped',
  data: { from, to, count, reason: 'overlap' },
})

export const trigger = (): TriggerEvent => ({
  type: 'TriggerPut',
  data: { triggerId: 't', spec: { workflow: 'w', source: { type: 'topic', topic: 'x' } }, by: 'k' },
})
