import type { ExecutionCommand, RecoveryAction, RunOverrides } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import {
  child,
  completedStep,
  failedStep,
  flaky,
  given,
  now,
  requestedWith,
  running,
  signal,
  startedAs,
  startedStep,
  timer,
  typesOf,
  waitFor,
} from '../../test/given.ts'
import { elapse, giveUpRecovery, loseAttempt, recoveryPatienceMs, startAttempt } from './decide.ts'
import { closesWith, dispatchableFrom } from './execution.ts'
import { journalOf, seedEntries } from './journal.ts'
import { owedAfter, owedBy } from './outbox.ts'

const rollBack = (toPath: string | null, overrides?: RunOverrides): ExecutionCommand => ({
  type: 'RollBackExecution',
  data: { toPath, reason: 'try again', ...(overrides && { overrides }) },
})
const recover = (action: RecoveryAction, incident = 1): ExecutionCommand => ({
  type: 'RecoverExecution',
  data: { incident, action },
})
const retry = (more: Partial<Extract<RecoveryAction, { type: 'retry' }>> = {}): RecoveryAction => ({
  type: 'retry',
  delayMs: 0,
  avoidWorker: false,
  ...more,
})
const threw = { code: 'agent_threw' as const, detail: 'boom', retryable: false }
const recoverable = { recovery: { policy: 'default' } }
const failedRun = () => running(recoverable).with({ type: 'fail', error: threw })
const paths = (story: ReturnType<typeof running>) => [...story.state.settled.keys()]

describe('a roll back', () => {
  it('keeps what settled up to the point, in the order of settlement', () => {
    const story = running().with(completedStep('b#1', 1), completedStep('a#1', 2), completedStep('c#1', 3))
    expect(typesOf(story.command(rollBack('a#1')))).toEqual(['ExecutionRolledBack'])
    expect(paths(story)).toEqual(['b#1', 'a#1'])
    expect(story.state).toMatchObject({ status: 'queued', worker: null, generation: 1 })
  })
  it('fences the attempt that was live', () => {
    const story = running().with(completedStep('a#1', 1))
    story.command(rollBack(null))
    expect(story.ask(completedStep('b#1', 1), 1)).toMatchObject({ code: 'attempt_fenced' })
    expect(startAttempt(story.state, { id: 'w', runtime: 'node' }, now)).toMatchObject({
      events: [{ data: { attempt: 2 } }],
    })
  })
  it('refuses a point that was never recorded', () => {
    const story = running().with(completedStep('a#1', 1), timer('t#1', 50))
    expect(story.command(rollBack('x#1'))).toMatchObject({ code: 'step_unknown' })
    expect(story.command(rollBack('t#1'))).toMatchObject({ code: 'step_unknown' })
  })
  it('of a finished run is refused', () => {
    const story = running().with({ type: 'complete', output: { inline: 1 } })
    expect(story.command(rollBack(null))).toMatchObject({ code: 'execution_finished' })
  })
  it('leaves a paused run paused', () => {
    const story = running().with(completedStep('a#1', 1), { type: 'PauseExecution', data: {} })
    story.command(rollBack(null))
    expect(story.state.status).toBe('paused')
  })
  it('keeps what is spent, and counts an effect that nobody will ask about at its worst', () => {
    const story = running().with(completedStep('a#1', 1, 1, 40), startedStep('b#1', 25))
    expect(typesOf(story.command(rollBack(null)))).toEqual(['StepOutcomeUnknown', 'ExecutionRolledBack'])
    expect(story.state).toMatchObject({ spentMicroCredits: 65, reservedMicroCredits: 0 })
    expect(story.state.open.size).toBe(0)
  })
  it('gives effects behind it another idempotency key, and those before it none', () => {
    const story = running()
    const first = story.ask(startedStep('b#1', 0))
    story.command(rollBack(null))
    const second = story.with(startedAs(2)).ask(startedStep('b#1', 0))
    expect(first).toHaveProperty('idempotencyKey')
    expect(second).not.toMatchObject({ idempotencyKey: (first as { idempotencyKey: string }).idempotencyKey })
  })
  it('returns the signals that were taken behind it, before those that came later', () => {
    const story = running().with(signal('s1', 'go', 1), signal('s2', 'go', 2), signal('s3', 'go', 3))
    story.with(waitFor('x#1', 'go'), waitFor('y#1', 'go'))
    story.command(rollBack('x#1'))
    expect(story.state.signals.get('go')?.map(({ signalId }) => signalId)).toEqual(['s2', 's3'])
    expect(story.command(signal('s2', 'go'))).toEqual({ status: 'decided', events: [] })
    expect(story.with(startedAs(2)).ask(waitFor('y#1', 'go'))).toMatchObject({
      entry: { result: { payload: { inline: 2 } } },
    })
  })
  it('ends the children that were open behind it and starts others in their place', () => {
    const story = running().with(child('c#1', 'kid'))
    const decision = story.command(rollBack(null))
    const owed = owedAfter(story.state, decision.status === 'decided' ? decision.events : [])
    expect(owed.map(({ command, to }) => [command.type, to.id])).toEqual([
      ['StartExecution', 'kid'],
      ['CancelExecution', 'kid'],
    ])
    expect(story.with(startedAs(2)).ask(child('c#1', 'kid'))).toMatchObject({
      events: [{ type: 'ChildRequested', data: { childId: 'kid.g1' } }],
    })
    // whoever takes the partition over owes the same
    expect(owedBy(story.state).map(({ command, to }) => [command.type, to.id])).toEqual([
      ['StartExecution', 'kid.g1'],
      ['StartExecution', 'kid'],
      ['CancelExecution', 'kid'],
    ])
  })
  it('gives its overrides to the children that start behind it, and to none that runs', () => {
    const overridesOf = (childId: string) =>
      owedBy(story.state).flatMap(({ command }) =>
        command.type === 'StartExecution' && command.data.executionId === childId ? [command.data.overrides] : [],
      )
    const story = running().with(completedStep('a#1', 1), child('c#1', 'kid'))
    story.command(rollBack('a#1', { models: { '*': 'small' } }))
    story.with(startedAs(2), child('c#1', 'kid'))
    expect([overridesOf('kid'), overridesOf('kid.g1')]).toEqual([[undefined], [{ models: { '*': 'small' } }]])
  })
  it('is over for a child once it reports; the run waits for it before it closes', () => {
    const story = running().with(child('c#1', 'kid'))
    story.command(rollBack(null))
    const end = story.with(startedAs(2)).ask({ type: 'complete', output: { inline: 1 } })
    const before = running().with(child('c#1', 'kid'), rollBack(null)).state
    expect(closesWith(before, end.status === 'decided' ? end.events : [])).toBe(false)
    const deliver: ExecutionCommand = {
      type: 'DeliverChildOutcome',
      data: { path: 'c#1', childId: 'kid', outcome: { status: 'cancelled' } },
    }
    expect(typesOf(story.command(deliver))).toEqual(['ChildFinished'])
    expect(story.state).toMatchObject({ openChildren: 0, status: 'completed' })
    expect(typesOf(story.command(deliver))).toEqual([])
  })
  it('does not take the end of an abandoned child for that of its successor', () => {
    const story = running().with(child('c#1', 'kid'), rollBack(null), startedAs(2), child('c#1', 'kid'))
    story.command({
      type: 'DeliverChildOutcome',
      data: { path: 'c#1', childId: 'kid', outcome: { status: 'completed', output: { inline: 1 } } },
    })
    expect(story.state.open.get('c#1')).toMatchObject({ childId: 'kid.g1' })
    expect(paths(story)).toEqual([])
  })
  it('into what the run took over from another shortens that', () => {
    const requested = requestedWith()
    if (requested.type !== 'ExecutionRequested') throw new RangeError('not a request')
    const forked = given(
      { ...requested, data: { ...requested.data, forkedFrom: { executionId: 'run-0', seed: { inline: [] } } } },
      startedAs(1),
    ).with(completedStep('own#1', 1))
    forked.command(rollBack('taken#2'))
    expect(forked.state.seedUpto).toBe('taken#2')
    expect(paths(forked)).toEqual([])
    const seed = ['taken#1', 'taken#2', 'taken#3'].map((path) => ({
      status: 'completed' as const,
      path,
      requestHash: 'h',
      kind: 'step',
      value: 1,
    }))
    expect(seedEntries(seed, forked.state.seedUpto, new Set()).map(({ path }) => path)).toEqual(['taken#1', 'taken#2'])
    expect(seedEntries(seed, null, new Set())).toHaveLength(3)
    expect(seedEntries(seed, null, new Set(['taken#2'])).map(({ path }) => path)).toEqual(['taken#1', 'taken#3'])
  })
  it('lays its overrides over those that the run has', () => {
    const story = running().with(completedStep('a#1', 1))
    story.command(rollBack(null, { models: { '*': 'small' }, instructions: 'be brief' }))
    story.command(rollBack(null, { models: { large: 'medium' } }))
    expect(story.state.overrides).toEqual({ models: { '*': 'small', large: 'medium' }, instructions: 'be brief' })
  })
})

describe('a failure under recovery', () => {
  it('waits for a decision, with its journal', () => {
    const story = running(recoverable).with(completedStep('a#1', 1))
    expect(typesOf(story.ask({ type: 'fail', error: threw }))).toEqual(['RecoveryAwaited'])
    expect(story.state).toMatchObject({ status: 'recovering', worker: null, recovery: { incident: 1, error: threw } })
    expect(journalOf(story.state)).toHaveLength(1)
    expect(dispatchableFrom(story.state)).toBeNull()
  })
  it("comes after the run's own attempts", () => {
    const story = running({ ...recoverable, retry: { ...flaky, maxAttempts: 2 } })
    expect(typesOf(story.ask({ type: 'fail', error: threw }))).toEqual(['AttemptFailed'])
    expect(typesOf(story.with(startedAs(2)).ask({ type: 'fail', error: threw }))).toEqual(['RecoveryAwaited'])
  })
  it('also of a run that kills its workers', () => {
    const story = given(requestedWith(recoverable))
    for (let attempt = 1; attempt <= 10; attempt++) {
      story.with(startedAs(attempt)).take(loseAttempt(story.state, 'disconnected', now))
    }
    expect(typesOf(loseAttempt(story.with(startedAs(11)).state, 'disconnected', now))).toEqual([
      'AttemptLost',
      'RecoveryAwaited',
    ])
  })
  it('is final once the time limit of the run is over', () => {
    const story = running({ ...recoverable, timeoutMs: 100 }).with({ type: 'fail', error: threw })
    expect(story.state.status).toBe('recovering')
    story.after(100)
    expect(typesOf(elapse(story.state, null, story.nowMs))).toEqual(['ExecutionFailed'])
    const late = running({ ...recoverable, timeoutMs: 100 }).after(100)
    expect(typesOf(late.ask({ type: 'fail', error: threw }))).toEqual(['ExecutionFailed'])
  })
  it('is final when nobody decides', () => {
    const story = failedRun()
    expect(typesOf(giveUpRecovery(story.state, now + recoveryPatienceMs - 1))).toEqual([])
    expect(giveUpRecovery(story.state, now + recoveryPatienceMs)).toMatchObject({
      events: [{ type: 'ExecutionFailed', data: { error: threw } }],
    })
  })
  it('can be cancelled and rolled back, and not paused', () => {
    expect(typesOf(failedRun().command({ type: 'PauseExecution', data: {} }))).toEqual(['execution_recovering'])
    expect(typesOf(failedRun().command({ type: 'CancelExecution', data: {} }))).toEqual(['ExecutionCancelled'])
    const story = failedRun()
    story.command(rollBack(null))
    expect(story.state).toMatchObject({ status: 'queued', recovery: null })
  })
  it('takes a decision about its own incident only', () => {
    expect(failedRun().command(recover(retry(), 2))).toMatchObject({ code: 'execution_not_recovering' })
    expect(running(recoverable).command(recover(retry()))).toMatchObject({ code: 'execution_not_recovering' })
    const story = failedRun()
    story.command(recover(retry()))
    expect(story.command(recover(retry()))).toMatchObject({ code: 'execution_not_recovering' })
  })
})

describe('a recovery', () => {
  const failedStepRun = () =>
    running(recoverable).with(completedStep('a#1', 1), failedStep('b#1', 1, false), failedStep('c#1', 1, false), {
      type: 'fail',
      error: threw,
      rerun: ['c#1'],
    })
  it('by retry runs the steps anew that the worker named, after its delay, elsewhere', () => {
    const story = failedStepRun()
    story.command(recover(retry({ delayMs: 500, avoidWorker: true, overrides: { models: { '*': 'other' } } })))
    expect(paths(story)).toEqual(['a#1', 'b#1'])
    expect(story.state).toMatchObject({
      status: 'queued',
      avoidedWorker: 'w1',
      overrides: { models: { '*': 'other' } },
    })
    expect(dispatchableFrom(story.state)).toBe(now + 500)
    expect(story.with(startedAs(2)).state.avoidedWorker).toBeNull()
  })
  it('by retry runs the steps anew that it names itself', () => {
    const story = failedStepRun()
    story.command(recover(retry({ rerun: ['b#1', 'c#1'] })))
    expect(paths(story)).toEqual(['a#1'])
  })
  it('by roll back is two events and waits for its delay', () => {
    const story = failedStepRun()
    const decision = story.command(recover({ type: 'roll_back', toPath: 'a#1', delayMs: 70 }))
    expect(typesOf(decision)).toEqual(['ExecutionRolledBack', 'ExecutionRecovered'])
    expect(paths(story)).toEqual(['a#1'])
    expect(dispatchableFrom(story.state)).toBe(now + 70)
  })
  it('by settling gives the failed step a value at its place', () => {
    const story = failedStepRun()
    story.command(recover({ type: 'settle', path: 'c#1', output: { inline: 'a default' } }))
    expect(paths(story)).toEqual(['a#1', 'b#1', 'c#1'])
    expect(story.state.settled.get('c#1')).toMatchObject({ result: { payload: { inline: 'a default' } } })
  })
  it('by settling is refused where the code has gone on from the failure, or has a result', () => {
    const settle = (path: string) => recover({ type: 'settle', path, output: { inline: 1 } })
    expect(failedStepRun().command(settle('b#1'))).toMatchObject({ code: 'invalid_request' })
    expect(failedStepRun().command(settle('a#1'))).toMatchObject({ code: 'invalid_request' })
  })
  it('by settling a wait leaves its signal to the next one', () => {
    const story = running(recoverable).with(waitFor('w#1', 'go'), { type: 'fail', error: threw })
    story.command(recover({ type: 'settle', path: 'w#1', output: { inline: { timedOut: true } } }))
    story.with(startedAs(2), waitFor('w#2', 'go'))
    expect(story.command(signal('s1', 'go'))).toMatchObject({
      events: [{ type: 'SignalReceived' }, { type: 'WaitResolved', data: { path: 'w#2' } }],
    })
  })
  it('by settling an open child ends the child, for which the run waits before it closes', () => {
    const story = running(recoverable).with(child('c#1', 'kid'), { type: 'fail', error: threw })
    const decision = story.command(recover({ type: 'settle', path: 'c#1', output: { inline: 1 } }))
    const owed = owedAfter(story.state, decision.status === 'decided' ? decision.events : [])
    expect(owed.map(({ command, to }) => [command.type, to.id])).toEqual([
      ['StartExecution', 'kid'],
      ['CancelExecution', 'kid'],
    ])
    story.with(startedAs(2), {
      type: 'DeliverChildOutcome',
      data: { path: 'c#1', childId: 'kid', outcome: { status: 'cancelled' } },
    })
    expect(story.state).toMatchObject({ openChildren: 0, abandoned: new Map() })
    expect(story.state.settled.get('c#1')).toMatchObject({ result: { payload: { inline: 1 } } })
    const end = story.ask({ type: 'complete', output: { inline: 1 } })
    expect(closesWith(story.state, end.status === 'decided' ? end.events : [])).toBe(true)
  })
  it('by settling an effect in doubt counts it at its worst', () => {
    const story = running(recoverable).with(startedStep('e#1', 25), { type: 'fail', error: threw })
    story.command(recover({ type: 'settle', path: 'e#1', output: { inline: 1 } }))
    expect(story.state).toMatchObject({ spentMicroCredits: 25, reservedMicroCredits: 0 })
  })
  it('by settling a step that never came to a result fits whatever the code asks there', () => {
    const story = running(recoverable).with(startedStep('hangs#1'))
    expect(typesOf(story.command({ type: 'InterruptExecution', data: { error: threw } }))).toEqual(['RecoveryAwaited'])
    story.command(recover({ type: 'settle', path: 'hangs#1', output: { inline: 1 } }))
    expect(story.with(startedAs(2)).ask(completedStep('hangs#1', 2))).toMatchObject({
      events: [],
      entry: { result: { payload: { inline: 1 } } },
    })
  })
  it('by holding waits longer', () => {
    const story = failedRun()
    expect(story.command(recover({ type: 'hold', untilMs: now }))).toMatchObject({ code: 'invalid_request' })
    expect(story.command(recover({ type: 'hold', untilMs: 9e15 }))).toMatchObject({ code: 'invalid_request' })
    story.command(recover({ type: 'hold', untilMs: now + 5 }))
    expect(story.state).toMatchObject({ status: 'recovering', recovery: { giveUpAt: now + 5 } })
    expect(typesOf(story.command(recover(retry())))).toEqual(['ExecutionRecovered'])
  })
  it('by giving up is a failure like any other', () => {
    expect(failedRun().command(recover({ type: 'give_up' }))).toMatchObject({
      events: [{ type: 'ExecutionFailed', data: { error: threw } }],
    })
  })
  it('counts its incidents', () => {
    const story = failedRun().with(recover(retry()), startedAs(2), { type: 'fail', error: threw })
    expect(story.state.recovery?.incident).toBe(2)
  })
})

describe('an interrupt', () => {
  const interrupt: ExecutionCommand = { type: 'InterruptExecution', data: { error: threw } }
  it('ends the live attempt as if the code had thrown', () => {
    expect(typesOf(running().command(interrupt))).toEqual(['ExecutionFailed'])
    expect(typesOf(running({ retry: flaky }).command(interrupt))).toEqual(['AttemptFailed'])
    expect(typesOf(running(recoverable).with(startedStep('e#1', 1)).command(interrupt))).toEqual([
      'StepOutcomeUnknown',
      'RecoveryAwaited',
    ])
  })
  it('of a run without an attempt is refused', () => {
    expect(given(requestedWith()).command(interrupt)).toMatchObject({ code: 'execution_not_running' })
  })
  it('that comes late does not hit the next attempt', () => {
    const meant: ExecutionCommand = { type: 'InterruptExecution', data: { error: threw, attempt: 1 } }
    const story = running(recoverable)
    story.take(loseAttempt(story.state, 'disconnected', now))
    expect(story.with(startedAs(2)).command(meant)).toMatchObject({ code: 'execution_not_running' })
    expect(typesOf(running(recoverable).command(meant))).toEqual(['RecoveryAwaited'])
  })
  it('leaves the failures that the code lives with where they are', () => {
    const caught = () => running(recoverable).with(failedStep('a#1', 1, false), completedStep('instead#1', 1))
    const story = caught()
    story.command(interrupt)
    story.command(recover(retry()))
    expect(paths(story)).toEqual(['a#1', 'instead#1'])
    const retried = running({ retry: flaky }).with(failedStep('a#1', 1, false), completedStep('instead#1', 1))
    retried.command(interrupt)
    expect(paths(retried)).toEqual(['a#1', 'instead#1'])
  })
  it('leaves them as losing its workers time and again does', () => {
    const story = given(requestedWith(recoverable), startedAs(1)).with(
      failedStep('a#1', 1, false),
      completedStep('instead#1', 1),
    )
    for (let attempt = 1; attempt <= 11; attempt++) {
      story.take(loseAttempt(story.state, 'disconnected', now))
      if (attempt < 11) story.with(startedAs(attempt + 1))
    }
    expect(story.state.status).toBe('recovering')
    story.command(recover(retry()))
    expect(paths(story)).toEqual(['a#1', 'instead#1'])
  })
})
