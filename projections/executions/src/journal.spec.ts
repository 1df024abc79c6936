import { type ExecutionEvent, type Failure, JournalCollector, type RecoveryAction } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { requested, started, stepCompleted } from '../test/histories.ts'

const collect = (...events: ExecutionEvent[]) => {
  const journal = new JournalCollector()
  for (const event of events) journal.add(event)
  return journal.entries
}

const attempt = 1
const requestHash = 'w'
const error: Failure = { code: 'step_failed', detail: 'no', retryable: true }
const failed = (retryAt: number | null): ExecutionEvent => ({
  type: 'StepFailed',
  data: {
    attempt,
    path: 'shaky#1',
    name: 'shaky',
    kind: 'tool',
    stepAttempt: 1,
    requestHash: 'f',
    error,
    retryAt,
    startedAt: 1,
    durationMs: 1,
  },
})

describe('the journal that a fork takes over', () => {
  it('has results in the order in which they settled', () => {
    const entries = collect(
      requested('r'),
      started(),
      { type: 'TimerStarted', data: { attempt, path: 'sleep#1', requestHash, fireAt: 5 } },
      { type: 'WaitStarted', data: { attempt, path: 'wait#1', requestHash, name: 'go' } },
      { type: 'SignalReceived', data: { signalId: 's1', name: 'go', payload: { inline: { n: 1 } } } },
      stepCompleted(1),
      { type: 'WaitResolved', data: { path: 'wait#1', signalId: 's1' } },
      { type: 'TimerFired', data: { path: 'sleep#1' } },
    )
    expect(entries.map(({ path, kind, requestHash: hash }) => [path, kind, hash])).toEqual([
      ['step#1', 'llm', 'h'],
      ['wait#1', 'wait', 'w'],
      ['sleep#1', 'timer', 'w'],
    ])
    expect(entries[1]?.result).toEqual({ type: 'signal', payload: { inline: { n: 1 } } })
  })

  it('leaves out what is open or will be tried again', () => {
    expect(collect(requested('r'), started(), failed(99))).toEqual([])
    expect(collect(requested('r'), started(), failed(null))).toHaveLength(1)
  })

  it('forgets failed steps with the attempt that they failed, as the engine does', () => {
    const attemptFailed: ExecutionEvent = { type: 'AttemptFailed', data: { attempt, error, retryAt: 1 } }
    expect(collect(requested('r'), started(), stepCompleted(1), failed(null), attemptFailed)).toHaveLength(1)
    const kept: ExecutionEvent = { type: 'AttemptFailed', data: { ...attemptFailed.data, rerun: [] } as never }
    expect(collect(requested('r'), started(), stepCompleted(1), failed(null), kept)).toHaveLength(2)
  })

  it('ends where a roll back went to, and goes on from there', () => {
    const back = (toPath: string | null): ExecutionEvent => ({
      type: 'ExecutionRolledBack',
      data: { toPath, generation: 1, by: 'key:1' },
    })
    const history = [requested('r'), started(), stepCompleted(1), stepCompleted(2), stepCompleted(3)]
    const paths = (...more: ExecutionEvent[]) => collect(...history, ...more).map(({ path }) => path)
    expect(paths(back('step#2'))).toEqual(['step#1', 'step#2'])
    expect(paths(back('step#1'), stepCompleted(3), stepCompleted(2))).toEqual(['step#1', 'step#3', 'step#2'])
    expect(paths(back(null))).toEqual([])
    const journal = new JournalCollector()
    for (const event of [...history, back('taken#1')]) journal.add(event)
    expect(journal).toMatchObject({ entries: [], seedUpto: 'taken#1' })
  })

  it('has the value that a recovery put in place of a failure', () => {
    const awaited: ExecutionEvent = { type: 'RecoveryAwaited', data: { incident: 1, error, giveUpAt: 9 } }
    const recovered = (action: RecoveryAction): ExecutionEvent => ({
      type: 'ExecutionRecovered',
      data: { incident: 1, action, by: 'system' },
    })
    const history = [requested('r'), started(), failed(null), stepCompleted(1), awaited]
    const settle = recovered({ type: 'settle', path: 'shaky#1', output: { inline: 0 } })
    expect(collect(...history, settle)).toMatchObject([
      { path: 'shaky#1', result: { payload: { inline: 0 } } },
      { path: 'step#1' },
    ])
    expect(collect(...history, recovered({ type: 'retry', delayMs: 0, avoidWorker: false }))).toHaveLength(1)
  })
})
