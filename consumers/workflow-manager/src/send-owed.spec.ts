import { MemoryPartition, silent } from '@omium/kit/testing'
import { type JsonValue, OmiumError } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { type Owed, owedByWorkflow } from './domain/owed.ts'
import { HostedPartition } from './hosted-partition.ts'
import { workflowMachine } from './machine.ts'
import { createSendOwed } from './send-owed.ts'

const aggregate = 'workflow:t/w'
const by = { tenant: 't', actor: 'key:k', correlationId: 'c' }
const clock = { nowMs: () => 0, after: () => () => undefined }

const sendOwed = createSendOwed({
  executions: { send: async () => undefined },
  payloads: {
    seal: async (_tenant, _id, value) => ({ inline: value }),
    open: async (payload) => {
      if (!('inline' in payload)) throw new OmiumError('object_missing', 'not here')
      return payload.inline
    },
  },
  measures: { started: () => undefined },
})

/** what becomes of a run that a workflow of this definition owes its start */
const sent = async (definition: JsonValue) => {
  const log = new MemoryPartition(workflowMachine)
  const unsettled = { clock, notices: silent, send: async () => undefined, settled: () => undefined }
  const partition = new HostedPartition(log, unsettled)
  const bundle = { inline: { definition, subworkflows: {} } as JsonValue }
  const created = { workflowId: 'w', name: 'W', bundle, bundleHash: 'h', version: 1, by: 'k' }
  const requested = { runId: 'wf.w.r', version: 1, parameters: { inline: {} }, requestHash: 'h' }
  const source = { type: 'request' } as const
  const events = [
    { type: 'WorkflowVersionCreated', data: created },
    { type: 'WorkflowRunRequested', data: { ...requested, source } },
  ]
  await partition.record(aggregate, events, by)
  const workflow = partition.state.workflows.get(aggregate)
  const [start] = workflow ? owedByWorkflow(workflow) : []
  await sendOwed(partition, aggregate, start as Owed)
  return log.log.slice(events.length)
}

describe('what is owed', () => {
  const nodes = { a: { type: 'set', value: 1 } }

  it('is a start that the log has', async () => {
    expect((await sent({ name: 'W', nodes })).map(({ type }) => type)).toEqual(['WorkflowRunStarted'])
  })

  it('ends as refused when the definition cannot be started, whatever it trips over, and is not tried for ever', async () => {
    // two comprehensions inside each other: more than the manager evaluates
    const key = '${parameters.tags.map(a, parameters.tags.map(b, b))}'
    expect(await sent({ name: 'W', nodes, concurrency: { limit: 1, key } })).toMatchObject([
      { type: 'WorkflowRunEnded', data: { end: { status: 'refused', code: 'workflow_failed' } } },
    ])
  })
})
