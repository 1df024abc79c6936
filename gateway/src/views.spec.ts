import type { ExecutionRecord, StepRecord } from '@omium/projection-executions'
import { describe, expect, it } from 'vitest'
import type { Payloads } from './payloads.ts'
import { isTerminalEvent, stepViewOf } from './views.ts'

const payloads: Payloads = {
  seal: async (_tenant, _execution, value) => ({ inline: value }),
  open: async (payload) => ('inline' in payload ? payload.inline : 'opened'),
}
const execution = { status: 'running', attempt: 2 } as ExecutionRecord
const at = new Date('2026-01-01T00:00:00.000Z')
const later = new Date('2026-01-01T00:00:01.500Z')
const view = (first: [string, object], last: [string, object] = first, of: ExecutionRecord = execution) =>
  stepViewOf(
    {
      path: 'a#1',
      firstVersion: 3,
      firstType: first[0],
      firstData: first[1],
      firstTime: at,
      lastType: last[0],
      lastData: last[1],
      lastTime: later,
      supersededBy: null,
    } as StepRecord,
    of,
    payloads,
  )
const step = { name: 'search', kind: 'tool', attempt: 1, stepAttempt: 2 }

describe('the timeline', () => {
  it('shows a step with its result, however large', async () => {
    const done = {
      ...step,
      input: { inline: { q: 1 } },
      output: { ref: { key: 'k', bytes: 1, sha256: '' } },
      usage: { model: 'm', inputTokens: 3, costMicroCredits: 9 },
      startedAt: at.getTime(),
      durationMs: 250,
    }
    expect(await view(['StepCompleted', done])).toEqual({
      path: 'a#1',
      name: 'search',
      kind: 'tool',
      status: 'completed',
      executionAttempt: 1,
      stepAttempt: 2,
      input: { q: 1 },
      output: 'opened',
      model: 'm',
      inputTokens: 3,
      costMicroCredits: 9,
      startedAt: '2026-01-01T00:00:00.000Z',
      finishedAt: '2026-01-01T00:00:00.250Z',
      durationMs: 250,
    })
  })

  it.each([
    ['a step that runs', ['StepStarted', step], undefined, 'running'],
    ['a step that will be tried again', ['StepFailed', { ...step, retryAt: 5 }], undefined, 'retrying'],
    ['a step that failed for good', ['StepFailed', { ...step, retryAt: null }], undefined, 'failed'],
    ['an effect in doubt', ['StepStarted', step], ['StepOutcomeUnknown', {}], 'unknown'],
    [
      'an effect whose outcome a person told',
      ['StepStarted', step],
      ['StepOutcomeResolved', { resolution: { status: 'failed' } }],
      'failed',
    ],
    ['a timer', ['TimerStarted', {}], undefined, 'pending'],
    ['a timer that fired', ['TimerStarted', {}], ['TimerFired', {}], 'completed'],
    [
      'a child that was cancelled',
      ['ChildRequested', { agentId: 'x' }],
      ['ChildFinished', { outcome: { status: 'cancelled' } }],
      'failed',
    ],
  ] as [string, [string, object], [string, object] | undefined, string][])('%s', async (_what, first, last, status) => {
    expect(await view(first, last ?? first)).toMatchObject({ status })
  })

  it('shows a running step as pending once no worker has the run', async () => {
    const queued = { ...execution, status: 'queued' } as ExecutionRecord
    expect(await view(['StepStarted', step], ['StepStarted', step], queued)).toMatchObject({ status: 'pending' })
  })

  it('names timers, waits, approvals and children for what they are', async () => {
    expect(await view(['ApprovalRequested', { title: 'Publish?' }])).toMatchObject({
      kind: 'approval',
      name: 'Publish?',
    })
    expect(await view(['ChildRequested', { agentId: 'critic' }])).toMatchObject({ kind: 'child', name: 'critic' })
  })
})

it('knows the events that end an execution', () => {
  expect(['ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled'].every(isTerminalEvent)).toBe(true)
  expect(['ExecutionStarted', 'ExecutionPaused', 'StepCompleted', 'AttemptFailed'].some(isTerminalEvent)).toBe(false)
})
