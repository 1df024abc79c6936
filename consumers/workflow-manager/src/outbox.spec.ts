import type { EventDraft, OwnedPartition } from '@omium/log'
import { type JsonValue, OmiumError } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { owedByWorkflow } from './domain/owed.ts'
import { evolveWorkflow } from './domain/workflow.ts'
import { HostedPartition } from './hosted-partition.ts'
import { type PartitionState, workflowMachine } from './machine.ts'
import { Outbox } from './outbox.ts'

const aggregate = 'workflow:t/w'
const identity = { tenant: 't', id: 'w', correlationId: 'c' }

/** a workflow with one run that is owed its start, in a partition whose appends are kept */
const hosted = (definition: JsonValue) => {
  const state = workflowMachine.empty()
  const bundle = { inline: { definition, subworkflows: {} } as JsonValue }
  const created = { workflowId: 'w', name: 'W', bundle, bundleHash: 'h', version: 1, by: 'k' }
  const requested = { runId: 'wf.w.r', version: 1, parameters: { inline: {} }, requestHash: 'h' }
  const drafted = evolveWorkflow(undefined, { type: 'WorkflowVersionCreated', data: created }, identity)
  const source = { type: 'request' } as const
  const workflow = evolveWorkflow(drafted, { type: 'WorkflowRunRequested', data: { ...requested, source } }, identity)
  state.workflows.set(aggregate, workflow)
  const appended: EventDraft[] = []
  const log = {
    live: true,
    state,
    append: async (drafts: readonly EventDraft[]) => {
      appended.push(...drafts)
      return {}
    },
  } as unknown as OwnedPartition<PartitionState>
  return { partition: new HostedPartition(log, () => undefined), owed: owedByWorkflow(workflow), appended }
}

const outboxWith = (retries: { left: number }) =>
  new Outbox({
    executions: { send: async () => undefined },
    payloads: {
      seal: async (_tenant, _id, value) => ({ inline: value }),
      open: async (payload) => {
        if (!('inline' in payload)) throw new OmiumError('object_missing', 'not here')
        return payload.inline
      },
    },
    notices: { info: () => undefined, warn: () => undefined, error: () => undefined },
    measures: { fired: () => undefined, fireLatency: () => undefined, started: () => undefined },
    delay: async () => {
      if (retries.left-- === 0) throw new Error('it is tried for ever')
    },
  })

describe('what is owed', () => {
  const nodes = { a: { type: 'set', value: 1 } }

  it('is a start that the log has', async () => {
    const { partition, owed, appended } = hosted({ name: 'W', nodes })
    outboxWith({ left: 3 }).send(partition, aggregate, owed)
    await partition.sending.get(aggregate)
    expect(appended.map(({ type }) => type)).toEqual(['WorkflowRunStarted'])
  })

  it('ends as refused when the definition cannot be started, whatever it trips over, and is not tried for ever', async () => {
    // two comprehensions inside each other: more than the manager evaluates
    const key = '${parameters.tags.map(a, parameters.tags.map(b, b))}'
    const { partition, owed, appended } = hosted({ name: 'W', nodes, concurrency: { limit: 1, key } })
    outboxWith({ left: 3 }).send(partition, aggregate, owed)
    await partition.sending.get(aggregate)
    expect(appended).toMatchObject([
      { type: 'WorkflowRunEnded', data: { end: { status: 'refused', code: 'workflow_failed' } } },
    ])
  })
})
