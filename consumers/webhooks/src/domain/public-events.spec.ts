import { type ExecutionEvent, executionOptions, type IncidentEvent, type WebhookSpec } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { now, spec, tenant } from '../../test/given.ts'
import { derive, isWanted, messageOf, type PublicEvent, type Subjects } from './public-events.ts'

const requested = (labels?: Record<string, string>): ExecutionEvent => ({
  type: 'ExecutionRequested',
  data: {
    executionId: 'r',
    agentId: 'writer',
    input: { inline: { secret: 'x' } },
    requestHash: 'h',
    options: executionOptions.parse(labels ? { labels } : {}),
  },
})
const error = { code: 'budget_exceeded' as const, detail: 'no more', retryable: false }

const told = (aggregate: string, ...events: (ExecutionEvent | IncidentEvent)[]) => {
  const subjects: Subjects = new Map()
  const found = events.flatMap((event, n) => derive(subjects, { id: `evt_${n}`, aggregate, tenant, time: now, event }))
  return { found, left: subjects.size, types: found.map(({ type }) => type) }
}
const run = 'execution:ten_a/r'

describe('public events', () => {
  it('name the run and say what became of it, and show neither inputs nor outputs', () => {
    const completed: ExecutionEvent = { type: 'ExecutionCompleted', data: { attempt: 1, output: { inline: 'out' } } }
    const { found, left } = told(run, requested({ workflow: 'report' }), completed)
    expect(found).toHaveLength(1)
    const message = messageOf('msg_1', found[0] as PublicEvent)
    expect(message).toMatchObject({ id: 'msg_1', type: 'execution.completed', occurredAt: now })
    expect(JSON.parse(message.body)).toEqual({
      type: 'execution.completed',
      timestamp: new Date(now).toISOString(),
      version: 1,
      tenant,
      data: { executionId: 'r', agent: 'writer', workflow: 'report' },
    })
    expect(left).toBe(0)
  })

  it('tell of a budget once, whether the run fails at once or waits for its recovery', () => {
    const failed: ExecutionEvent = { type: 'ExecutionFailed', data: { attempt: 1, error } }
    const awaited: ExecutionEvent = { type: 'RecoveryAwaited', data: { incident: 1, error, giveUpAt: now } }
    expect(told(run, requested(), failed).types).toEqual(['budget.exceeded', 'execution.failed'])
    expect(told(run, requested(), awaited, awaited, failed).types).toEqual(['budget.exceeded', 'execution.failed'])
  })

  it('tell of approvals and cancellations', () => {
    const { found } = told(
      run,
      requested(),
      {
        type: 'ApprovalRequested',
        data: { attempt: 1, path: 'ok#1', requestHash: 'h', title: 'Pay?', timeoutAt: now },
      },
      { type: 'ExecutionCancelled', data: { by: 'user:u', reason: 'no' } },
    )
    expect(found).toMatchObject([
      { type: 'execution.waiting', data: { approval: { path: 'ok#1', title: 'Pay?' } }, about: { agent: 'writer' } },
      { type: 'execution.cancelled', data: { by: 'user:u', reason: 'no' } },
    ])
  })

  it('tell of recoveries, with the run that they are of', () => {
    const asked: IncidentEvent = { type: 'EscalatedToPerson', data: { plan: 1, question: 'What now?', untilMs: now } }
    const gaveUp: IncidentEvent = { type: 'GivenUp', data: { why: 'nobody answered', by: 'system', at: now } }
    expect(told('incident:ten_a/r.1.2', asked, gaveUp).found).toMatchObject([
      { type: 'recovery.person_asked', data: { executionId: 'r.1', incidentId: 'r.1.2', question: 'What now?' } },
      { type: 'recovery.gave_up', data: { executionId: 'r.1', why: 'nobody answered' } },
    ])
  })

  it('reach those who asked for their type, and for their workflow or agent', () => {
    const wants = (
      given: Partial<WebhookSpec>,
      about: PublicEvent['about'] = { agent: 'writer', workflow: 'report' },
    ) => isWanted({ ...spec, ...given }, { eventId: 'e', type: 'execution.failed', tenant, time: now, about, data: {} })
    expect(wants({})).toBe(true)
    expect(wants({ types: ['execution.completed'] })).toBe(false)
    expect(wants({ filter: { workflows: ['report'] } })).toBe(true)
    expect(wants({ filter: { workflows: ['other'] } })).toBe(false)
    expect(wants({ filter: { workflows: ['other'], agents: ['writer'] } })).toBe(true)
    expect(wants({ filter: { agents: ['reader'] } }, {})).toBe(false)
  })
})
