import type { WorkflowCommand, WorkflowEvent } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { owedByWorkflow } from './owed.ts'
import { decideWorkflow, evolveWorkflow, type WorkflowState } from './workflow.ts'

const identity = { tenant: 't', id: 'w', correlationId: 'c' }
const fold = (events: readonly WorkflowEvent[], state?: WorkflowState): WorkflowState | undefined =>
  events.reduce<WorkflowState | undefined>((folded, event) => evolveWorkflow(folded, event, identity), state)

/** given commands that were decided, when one more comes, then these events (or this refusal) */
const given = (...commands: WorkflowCommand[]) => {
  let state: WorkflowState | undefined
  for (const command of commands) {
    const decision = decideWorkflow(state, command, 'w', 'key:1')
    if (decision.status === 'refused') throw new Error(decision.detail)
    state = fold(decision.events, state)
  }
  return {
    state,
    when: (command: WorkflowCommand) => {
      const decision = decideWorkflow(state, command, 'w', 'key:1')
      return decision.status === 'refused' ? decision.code : decision.events.map(({ type }) => type)
    },
  }
}
const create = (bundleHash: string, publish = false): WorkflowCommand => ({
  type: 'CreateWorkflowVersion',
  data: { workflowId: 'w', name: 'W', bundle: { inline: {} }, bundleHash, publish },
})
const run = (runId: string, requestHash = 'h', more: object = {}): WorkflowCommand => ({
  type: 'RunWorkflow',
  data: { runId, parameters: { inline: {} }, requestHash, source: { type: 'request' }, ...more },
})
const version = (type: 'PublishWorkflowVersion' | 'DeprecateWorkflowVersion', n: number): WorkflowCommand => ({
  type,
  data: { version: n },
})
const end = (runId: string): WorkflowCommand => ({
  type: 'EndWorkflowRun',
  data: { runId, end: { status: 'completed' } },
})

describe('versions', () => {
  it('count up; an equal one is none; they go from draft to published to deprecated, never back', () => {
    expect(given().when(create('a'))).toEqual(['WorkflowVersionCreated'])
    expect(given(create('a')).when(create('a'))).toEqual([])
    expect(given(create('a')).when(create('a', true))).toEqual(['WorkflowVersionPublished'])
    expect(given(create('a')).when(create('b', true))).toEqual(['WorkflowVersionCreated', 'WorkflowVersionPublished'])
    const deprecated = given(create('a', true), version('DeprecateWorkflowVersion', 1))
    expect(deprecated.when(version('PublishWorkflowVersion', 1))).toBe('workflow_conflict')
    expect(deprecated.when(version('DeprecateWorkflowVersion', 1))).toEqual([])
    expect(deprecated.when(version('PublishWorkflowVersion', 2))).toBe('workflow_unknown')
  })

  it('of a deleted workflow cannot run; created again it goes on counting', () => {
    const deleted = given(create('a', true), { type: 'DeleteWorkflow', data: {} })
    expect(deleted.when(run('r'))).toBe('workflow_unknown')
    const again = given(create('a', true), { type: 'DeleteWorkflow', data: {} }, create('a', true))
    expect(again.state?.versions).toHaveLength(2)
    expect(again.when(run('r'))).toEqual(['WorkflowRunRequested'])
    const draft = given(create('a', true), { type: 'DeleteWorkflow', data: {} }, create('a'))
    expect(draft.when(run('r'))).toBe('workflow_unpublished')
    expect(draft.when(run('r', 'h', { version: 1 }))).toBe('workflow_unpublished')
    expect(draft.when(version('PublishWorkflowVersion', 1))).toBe('workflow_conflict')
  })
})

describe('runs', () => {
  const published = [create('a', true), create('b', true), create('c')]

  it('are of the newest published version, or of the one that is named; a deprecated one does not run', () => {
    expect(given().when(run('r'))).toBe('workflow_unknown')
    expect(given(create('a')).when(run('r'))).toBe('workflow_unpublished')
    expect(given(...published, run('r')).state?.runs['r']?.version).toBe(2)
    expect(given(...published, run('r', 'h', { version: 3 })).state?.runs['r']?.version).toBe(3)
    const old = given(...published, version('DeprecateWorkflowVersion', 1))
    expect(old.when(run('r', 'h', { version: 1 }))).toBe('workflow_unpublished')
  })

  it('are requested once for an id, also after their end; another request of that id is a conflict', () => {
    const running = given(...published, run('r'))
    expect([running.when(run('r')), running.when(run('r', 'other'))]).toEqual([[], 'workflow_conflict'])
    const over = given(...published, run('r'), end('r'))
    expect([over.when(run('r')), over.when(run('r', 'other'))]).toEqual([[], 'workflow_conflict'])
    expect(over.when(end('r'))).toEqual([])
    expect(over.state?.runs).toEqual({})
  })

  it('owe their start until it is on the log, and stay until whoever waits was told of their end', () => {
    const source = { type: 'schedule', scheduleId: 's', nominalAt: 1 } as const
    const { state } = given(...published, run('r', 'h', { source }))
    const owed = (events: WorkflowEvent[]) =>
      owedByWorkflow(fold(events, structuredClone(state)) as WorkflowState).map((one) =>
        one.what === 'command' ? one.command.type : one.what,
      )
    const started: WorkflowEvent = { type: 'WorkflowRunStarted', data: { runId: 'r' } }
    const subscribed: WorkflowEvent = { type: 'WorkflowSubscribed', data: { triggerId: 't' } }
    const superseded: WorkflowEvent = { type: 'WorkflowRunSuperseded', data: { runId: 'r' } }
    const ended: WorkflowEvent = { type: 'WorkflowRunEnded', data: { runId: 'r', end: { status: 'failed' } } }
    const reported: WorkflowEvent = { type: 'WorkflowRunReported', data: { runId: 'r' } }
    expect(owed([])).toEqual(['start'])
    expect(owed([superseded])).toEqual(['start', 'cancel'])
    expect(owed([started])).toEqual([])
    expect(owed([started, subscribed, ended])).toEqual(['ReportScheduledRun', 'FireTrigger'])
    expect(owed([started, subscribed, ended, reported])).toEqual([])
  })

  it('tell every trigger that subscribed of their end, and how long the chain is; any id may subscribe', () => {
    const subscribe: WorkflowCommand = { type: 'SubscribeToWorkflow', data: { triggerId: 'constructor' } }
    const source = { type: 'trigger', triggerId: 't', eventId: 'e', chain: 3 } as const
    const { state } = given(...published, subscribe, run('r', 'h', { source }), end('r'))
    const fires = owedByWorkflow(state as WorkflowState).filter(
      (one) => one.what === 'command' && one.command.type === 'FireTrigger',
    )
    expect(fires).toMatchObject([{ to: { id: 'constructor' }, command: { data: { chain: 4 } } }])
  })
})
