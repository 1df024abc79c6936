import type { AcceptedEvent, StateMachine } from '@omium/log'
import { parseAggregateKey, type ScheduleEvent, type TriggerEvent, type WorkflowEvent } from '@omium/schemas'
import { evolveSchedule, type ScheduleState } from './domain/schedule.ts'
import { evolveTrigger, type TriggerState } from './domain/trigger.ts'
import { evolveWorkflow, type WorkflowState } from './domain/workflow.ts'

/** The live state of one partition of the workflow context, by aggregate key. States are plain JSON. */
export interface PartitionState {
  readonly workflows: Map<string, WorkflowState>
  readonly schedules: Map<string, ScheduleState>
  readonly triggers: Map<string, TriggerState>
}

interface Encoded {
  readonly workflows: [string, WorkflowState][]
  readonly schedules: [string, ScheduleState][]
  readonly triggers: [string, TriggerState][]
}

export const workflowMachine: StateMachine<PartitionState> = {
  version: 4,
  empty: () => ({ workflows: new Map(), schedules: new Map(), triggers: new Map() }),

  apply({ workflows, schedules, triggers }, { envelope, type, data }: AcceptedEvent) {
    const { aggregate, tenant, correlationId, time } = envelope
    const key = parseAggregateKey(aggregate)
    if (!key) return
    const identity = { tenant, id: key.id, correlationId }
    if (key.type === 'workflow')
      workflows.set(aggregate, evolveWorkflow(workflows.get(aggregate), { type, data } as WorkflowEvent, identity))
    else if (key.type === 'schedule')
      schedules.set(aggregate, evolveSchedule(schedules.get(aggregate), { type, data } as ScheduleEvent, identity))
    else if (key.type === 'trigger')
      triggers.set(
        aggregate,
        evolveTrigger(triggers.get(aggregate), { type, data } as TriggerEvent, { ...identity, time }),
      )
  },

  encode: ({ workflows, schedules, triggers }): Encoded => ({
    workflows: [...workflows],
    schedules: [...schedules],
    triggers: [...triggers],
  }),

  decode(encoded) {
    const { workflows, schedules, triggers } = encoded as Encoded
    return { workflows: new Map(workflows), schedules: new Map(schedules), triggers: new Map(triggers) }
  },
}
