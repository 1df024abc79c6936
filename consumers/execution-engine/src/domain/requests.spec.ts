import { describe, expect, it } from 'vitest'
import {
  child,
  completedStep,
  failedStep,
  flaky,
  now,
  running,
  signal,
  startedAs,
  startedStep,
  timer,
  typesOf,
  waitFor,
} from '../../test/given.ts'
import { loseAttempt } from './decide.ts'
import { dispatchableFrom } from './execution.ts'
import { journalOf, toJournalEntry } from './journal.ts'
import type { WorkerRequest } from './requests.ts'

describe('fencing', () => {
  it('refuses an older attempt', () => {
    expect(running().with(startedAs(2)).ask(completedStep('a#1', 1), 1)).toMatchObject({ code: 'attempt_fenced' })
  })
  it('calls an attempt that never was a violation', () => {
    expect(running().ask(completedStep('a#1', 1), 7)).toMatchObject({ code: 'protocol_violation' })
  })
  it('refuses everything after the end', () => {
    const story = running().with({ type: 'complete', output: { inline: 1 } })
    expect(story.ask(completedStep('a#1', 1))).toMatchObject({ code: 'attempt_fenced' })
  })
})

describe('recorded paths', () => {
  it('are answered from the journal when the request is the same', () => {
    const story = running().with(completedStep('a#1', 'first'))
    expect(story.ask(completedStep('a#1', 'second'))).toMatchObject({
      events: [],
      entry: { result: { payload: { inline: 'first' } } },
    })
  })
  it('refuse another request, naming both', () => {
    const again = { ...completedStep('a#1', 1), requestHash: 'changed' } as never
    expect(running().with(completedStep('a#1', 1)).ask(again)).toMatchObject({
      code: 'replay_mismatch',
      detail: expect.stringContaining('changed'),
    })
  })
  it('that are pending stay pending', () => {
    expect(running().with(timer('t#1', 10)).ask(timer('t#1', 99))).toMatchObject({
      events: [],
      entry: { type: 'timer' },
    })
  })
})

describe('steps', () => {
  it('that fail are retried after a growing delay, then fail for good', () => {
    const story = running()
    expect(story.ask(failedStep('a#1'))).toMatchObject({
      entry: { type: 'retrying', stepAttempt: 2, retryAt: story.nowMs + 100 },
    })
    expect(story.ask(failedStep('a#1', 2))).toMatchObject({ entry: { stepAttempt: 3, retryAt: story.nowMs + 200 } })
    expect(story.ask(failedStep('a#1', 3))).toMatchObject({
      events: [{ data: { retryAt: null } }],
      entry: { result: { type: 'error' } },
    })
  })
  it('whose error is not retryable fail at once', () => {
    expect(running().ask(failedStep('a#1', 1, false))).toMatchObject({ events: [{ data: { retryAt: null } }] })
  })
  it('cannot skip a try', () => {
    expect(running().ask(completedStep('a#1', 1, 2))).toMatchObject({ code: 'protocol_violation' })
  })
  it('keep their try over a lost worker', () => {
    const story = running().with(failedStep('a#1'), startedStep('a#1', undefined, 2))
    story.take(loseAttempt(story.state, 'disconnected', now))
    expect(story.state.open.get('a#1')).toMatchObject({ type: 'retrying', stepAttempt: 2 })
  })
})

describe('effects', () => {
  it('get a key that stays the same over attempts', () => {
    const story = running()
    const first = story.ask(startedStep('pay#1', 0))
    story.take(loseAttempt(story.state, 'disconnected', now))
    story.with({ type: 'ResolveStepOutcome', data: { path: 'pay#1', resolution: { status: 'retry' } } }, startedAs(2))
    const second = story.ask(startedStep('pay#1', 0, 2))
    expect(first).toMatchObject({ idempotencyKey: expect.stringMatching(/^idem_/) })
    expect(second).toMatchObject({ idempotencyKey: (first as { idempotencyKey: string }).idempotencyKey })
  })
  it('are refused when the worst case exceeds the budget', () => {
    const story = running({ budgetMicroCredits: 100 }).with(startedStep('a#1', 60))
    expect(story.ask(startedStep('b#1', 50))).toMatchObject({ code: 'budget_exceeded' })
    story.with(completedStep('a#1', 1, 1, 20))
    expect(typesOf(story.ask(startedStep('b#1', 50)))).toEqual(['StepStarted'])
    expect(story.state).toMatchObject({ spentMicroCredits: 20, reservedMicroCredits: 50 })
  })
  it('in doubt may be reconciled by the worker', () => {
    const story = running().with(startedStep('pay#1', 5))
    story.take(loseAttempt(story.state, 'disconnected', now))
    story.with(startedAs(2))
    expect(
      story.ask({
        type: 'step_reconciled',
        path: 'pay#1',
        resolution: { status: 'completed', output: { inline: 'ok' } },
      }),
    ).toMatchObject({ entry: { result: { payload: { inline: 'ok' } } } })
    expect(story.state).toMatchObject({ reservedMicroCredits: 0, spentMicroCredits: 5 })
  })
})

describe('leaving the worker', () => {
  it('suspends a run until something resolves', () => {
    const story = running().with(waitFor('w#1', 'go'), { type: 'suspend', reason: 'waiting' })
    expect(story.state).toMatchObject({ status: 'suspended', worker: null })
    expect(dispatchableFrom(story.state)).toBeNull()
    expect(story.with(signal('s', 'go')).state.status).toBe('queued')
  })
  it('queues it again when a result may have crossed with the suspension', () => {
    const story = running().with(waitFor('w#1', 'go'), waitFor('w#2', 'stop'), signal('s', 'go'), {
      type: 'suspend',
      reason: 'waiting',
    })
    expect(story.state.status).toBe('queued')
  })
  it('wakes it for a retry that comes due', () => {
    const story = running().with(failedStep('a#1'), { type: 'suspend', reason: 'waiting' })
    expect(dispatchableFrom(story.state)).toBe(story.nowMs + 100)
  })
  it('queues a drained run at once', () => {
    expect(running().with(waitFor('w#1', 'go'), { type: 'suspend', reason: 'drained' }).state.status).toBe('queued')
  })
  it('is refused while an effect is under way', () => {
    expect(running().with(startedStep('pay#1', 0)).ask({ type: 'suspend', reason: 'waiting' })).toMatchObject({
      code: 'protocol_violation',
    })
  })
})

describe('the agent throwing', () => {
  const threw = { type: 'fail', error: { code: 'agent_threw', detail: 'x', retryable: false } } as const
  it('fails the run without a policy', () => {
    expect(typesOf(running().ask(threw))).toEqual(['ExecutionFailed'])
  })
  it('gives it another attempt later with one', () => {
    const story = running({ retry: flaky }).with(completedStep('a#1', 1), threw)
    expect(story.state).toMatchObject({ status: 'queued', notBefore: story.nowMs + 100 })
    expect([...story.state.settled.keys()]).toEqual(['a#1'])
  })
  it('keeps the failed steps to which the code has reacted', () => {
    const story = running({ retry: flaky }).with(
      failedStep('primary#1', 1, false),
      completedStep('fallback#1', 1),
      failedStep('last#1', 1, false),
      { ...threw, rerun: ['last#1', 'fallback#1', 'never#1'] },
    )
    expect([...story.state.settled.keys()]).toEqual(['primary#1', 'fallback#1'])
  })
  it('never retries code that does not fit its history', () => {
    const error = { code: 'replay_mismatch', detail: 'x', retryable: false } as const
    expect(typesOf(running({ retry: flaky }).ask({ type: 'fail', error }))).toEqual(['ExecutionFailed'])
  })
})

describe('the journal', () => {
  it('lists what is settled in the order of settlement, then what is open', () => {
    const story = running().with(
      timer('t#1', 1000),
      waitFor('w#1', 'go'),
      child('c#1', 'kid'),
      completedStep('a#1', 'x'),
      signal('s', 'go', 'hello'),
      startedStep('b#1'),
    )
    const journal = journalOf(story.state).map((entry) =>
      toJournalEntry(
        entry,
        'result' in entry && 'payload' in entry.result && 'inline' in entry.result.payload
          ? entry.result.payload.inline
          : null,
      ),
    )
    expect(journal).toEqual([
      { status: 'completed', path: 'a#1', requestHash: 'hash-of-a#1', kind: 'step', value: 'x' },
      {
        status: 'completed',
        path: 'w#1',
        requestHash: 'hash-of-w#1',
        kind: 'wait',
        value: { timedOut: false, payload: 'hello' },
      },
      { status: 'pending', path: 't#1', requestHash: 'hash-of-t#1', kind: 'timer' },
      { status: 'pending', path: 'c#1', requestHash: 'hash-of-c#1', kind: 'child' },
    ])
  })
})

describe('a request that a worker may not make', () => {
  it('is one that would fit anything', () => {
    const any = { ...completedStep('a#1', 1), requestHash: '*' } as WorkerRequest
    expect(running().ask(any)).toMatchObject({ code: 'protocol_violation' })
    expect(running().ask({ ...timer('t#1', 5), requestHash: '*' } as WorkerRequest)).toMatchObject({
      code: 'protocol_violation',
    })
  })
  it('is to record what the platform settles, but in a simulated run', () => {
    const answered = { ...completedStep('w#1', 1), kind: 'wait' } as WorkerRequest
    expect(running().ask(answered)).toMatchObject({ code: 'protocol_violation' })
    const simulated = running({ simulate: true }).with(answered)
    expect(simulated.state.settled.get('w#1')).toMatchObject({ kind: 'wait', result: { payload: { inline: 1 } } })
  })
  it('is an effect or a child of a simulated run', () => {
    const simulated = () => running({ simulate: true })
    expect(simulated().ask(startedStep('e#1', 0))).toMatchObject({ code: 'replay_miss' })
    expect(simulated().ask(child('c#1', 'kid'))).toMatchObject({ code: 'replay_miss' })
    expect(typesOf(simulated().ask({ ...startedStep('m#1', 5), kind: 'llm' } as WorkerRequest))).toEqual([
      'StepStarted',
    ])
  })
})
