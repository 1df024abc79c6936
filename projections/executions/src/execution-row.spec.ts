import type { ExecutionEvent, RecoveryAction } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { completed, requested, started, stepCompleted } from '../test/histories.ts'
import { type ExecutionRow, evolve, waitingFor } from './execution-row.ts'

const fold = (...events: ExecutionEvent[]): ExecutionRow => {
  let row: ExecutionRow | undefined
  events.forEach((event, i) => {
    row = evolve(row, event, { tenant: 'ten_a', version: i + 1, time: 1000 + i, partition: 3, offset: 40 + i })
  })
  return row as ExecutionRow
}

const attempt = 1
const requestHash = 'h'
const wait: ExecutionEvent = { type: 'WaitStarted', data: { attempt, path: 'wait:go#1', requestHash, name: 'go' } }
const waited: ExecutionEvent = { type: 'WaitResolved', data: { path: 'wait:go#1', signalId: 's1' } }
const suspended: ExecutionEvent = { type: 'ExecutionSuspended', data: { attempt, reason: 'waiting' } }
const paused: ExecutionEvent = { type: 'ExecutionPaused', data: { by: 'key:1' } }
const resumed: ExecutionEvent = { type: 'ExecutionResumed', data: { by: 'key:1' } }

describe('an execution as lists show it', () => {
  it('counts steps, tokens and costs, and ends with its output', () => {
    expect(fold(requested('r'), started(), stepCompleted(1), stepCompleted(2), completed('ok'))).toMatchObject({
      id: 'r',
      status: 'completed',
      attempt: 1,
      stepsCompleted: 2,
      inputTokens: 20,
      outputTokens: 10,
      costMicroCredits: 14,
      output: { inline: 'ok' },
      createdAt: 1000,
      startedAt: 1001,
      finishedAt: 1004,
      version: 5,
      partition: 3,
      offset: 44,
    })
  })

  it('is suspended while it waits for a signal and queued once that is there', () => {
    const asleep = fold(requested('r'), started(), wait, suspended)
    expect(asleep.status).toBe('suspended')
    expect(waitingFor(asleep.status, asleep.pending, asleep.options)).toEqual(['signal:go'])
    const awake = fold(requested('r'), started(), wait, suspended, waited)
    expect(awake.status).toBe('queued')
    expect(waitingFor(awake.status, awake.pending, awake.options)).toEqual(['worker'])
  })

  it('is queued, not suspended, when what it waited for came while it was being suspended', () => {
    const other: ExecutionEvent = {
      type: 'TimerStarted',
      data: { attempt, path: 'sleep#1', requestHash, fireAt: 9000 },
    }
    expect(fold(requested('r'), started(), wait, other, waited, suspended).status).toBe('queued')
  })

  it('stays paused while results arrive, and goes back to the queue when resumed', () => {
    expect(fold(requested('r'), started(), wait, paused, waited).status).toBe('paused')
    expect(fold(requested('r'), started(), wait, paused, waited, resumed).status).toBe('queued')
  })

  it('waits for its permit first', () => {
    const base = requested('r')
    const limited = {
      ...base,
      data: { ...base.data, options: { priority: 0, concurrency: { key: 'k', limit: 1 } } },
    } as ExecutionEvent
    const held = fold(limited)
    expect(held.status).toBe('awaiting_permit')
    expect(waitingFor(held.status, held.pending, held.options)).toEqual(['permit:k'])
    expect(fold(limited, paused, resumed).status).toBe('awaiting_permit')
    expect(fold(limited, { type: 'PermitGranted', data: { key: 'k' } }).status).toBe('queued')
  })

  it('shows an effect whose outcome is unknown until somebody resolves it', () => {
    const unknown: ExecutionEvent = {
      type: 'StepOutcomeUnknown',
      data: { path: 'pay#1', idempotencyKey: 'i', lostAttempt: 1 },
    }
    const row = fold(requested('r'), started(), unknown)
    expect(waitingFor(row.status, row.pending, row.options)).toEqual(['outcome:pay#1'])
    const resolved: ExecutionEvent = {
      type: 'StepOutcomeResolved',
      data: { path: 'pay#1', by: 'key:1', resolution: { status: 'completed', output: { inline: 1 } } },
    }
    expect(fold(requested('r'), started(), unknown, resolved)).toMatchObject({
      stepsCompleted: 1,
      pending: { open: {}, woken: true },
    })
  })

  it('recovers, or is rolled back, with what it still waits for', () => {
    const error = { code: 'agent_threw' as const, detail: 'boom', retryable: false }
    const awaited: ExecutionEvent = { type: 'RecoveryAwaited', data: { incident: 2, attempt, error, giveUpAt: 5000 } }
    const recovered = (action: RecoveryAction): ExecutionEvent => ({
      type: 'ExecutionRecovered',
      data: { incident: 2, action, by: 'system' },
    })
    const row = fold(requested('r'), started(), wait, awaited)
    expect(row).toMatchObject({ status: 'recovering', pending: { recovery: { incident: 2, error } } })
    expect(waitingFor(row.status, row.pending, row.options)).toEqual(['recovery:2', 'signal:go'])
    const held = fold(requested('r'), awaited, recovered({ type: 'hold', untilMs: 7000 }))
    expect(held).toMatchObject({ status: 'recovering', pending: { recovery: { giveUpAt: 7000 } } })
    const again = fold(requested('r'), awaited, recovered({ type: 'retry', delayMs: 0, avoidWorker: false }))
    expect(again.status).toBe('queued')
    expect(again.pending.recovery).toBeUndefined()
    const back: ExecutionEvent = { type: 'ExecutionRolledBack', data: { toPath: null, generation: 3, by: 'key:1' } }
    expect(fold(requested('r'), started(), wait, awaited, back)).toMatchObject({
      status: 'queued',
      generation: 3,
      pending: { open: {} },
    })
    expect(fold(requested('r'), started(), paused, back).status).toBe('paused')
  })

  it('does not take the end of an abandoned child for that of its successor', () => {
    const childRequested = (childId: string): ExecutionEvent => ({
      type: 'ChildRequested',
      data: {
        attempt,
        path: 'call#1',
        requestHash,
        childId,
        agentId: 'writer',
        input: { inline: 1 },
        options: { priority: 0 },
      },
    })
    const back: ExecutionEvent = { type: 'ExecutionRolledBack', data: { toPath: null, generation: 1, by: 'key:1' } }
    const finished: ExecutionEvent = {
      type: 'ChildFinished',
      data: { path: 'call#1', childId: 'kid', outcome: { status: 'cancelled' } },
    }
    const row = fold(
      requested('r'),
      started(),
      childRequested('kid'),
      back,
      started(2),
      childRequested('kid.g1'),
      suspended,
      finished,
    )
    expect(row).toMatchObject({ status: 'suspended', pending: { open: { 'call#1': 'child:kid.g1' } } })
  })

  it('refuses histories that no engine writes', () => {
    expect(() => fold(started())).toThrow(/before ExecutionRequested/)
    expect(() => fold(requested('r'), requested('r'))).toThrow(/requested before/)
  })
})

it('is not woken by the end of a child in whose place a value was put', () => {
  const child: ExecutionEvent = {
    type: 'ChildRequested',
    data: {
      attempt,
      path: 'call#1',
      requestHash,
      childId: 'kid',
      agentId: 'writer',
      input: { inline: 1 },
      options: { priority: 0 },
    },
  }
  const error = { code: 'agent_threw' as const, detail: 'boom', retryable: false }
  const awaited: ExecutionEvent = { type: 'RecoveryAwaited', data: { incident: 1, attempt, error, giveUpAt: 9 } }
  const action: RecoveryAction = { type: 'settle', path: 'call#1', output: { inline: 1 } }
  const recovered: ExecutionEvent = { type: 'ExecutionRecovered', data: { incident: 1, action, by: 'key:1' } }
  const end: ExecutionEvent = {
    type: 'ChildFinished',
    data: { path: 'call#1', childId: 'kid', outcome: { status: 'cancelled' } },
  }
  const goesOn = fold(requested('r'), started(), child, awaited, recovered, started(2), wait, suspended)
  expect(goesOn.pending.abandoned).toEqual(['kid'])
  const ended = fold(requested('r'), started(), child, awaited, recovered, started(2), wait, suspended, end)
  expect([goesOn.status, ended.status]).toEqual(['suspended', 'suspended'])
  expect(ended.pending).toMatchObject({ open: { 'wait:go#1': 'signal:go' } })
})
