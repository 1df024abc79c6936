import { describe, expect, it } from 'vitest'
import {
  approval,
  child,
  completedStep,
  given,
  now,
  requestedWith,
  running,
  signal,
  start,
  startedAs,
  startedStep,
  timer,
  typesOf,
  waitFor,
} from '../../test/given.ts'
import { decideCommand, elapse, loseAttempt, outcomeDelivered, permitReturned, startAttempt } from './decide.ts'
import { closesWith, dispatchableFrom } from './execution.ts'

const worker = { id: 'w', runtime: 'node' }

describe('starting', () => {
  it('requests a run that is new', () => {
    expect(typesOf(decideCommand(undefined, start(), 'key:k', now))).toEqual(['ExecutionRequested'])
  })
  it('has nothing to decide for the same request again', () => {
    expect(given(requestedWith()).command(start())).toEqual({ status: 'decided', events: [] })
  })
  it('refuses the same id with another input', () => {
    expect(given(requestedWith()).command(start('other'))).toMatchObject({ code: 'execution_conflict' })
  })
  it('hands a queued run to a worker as the next attempt', () => {
    const story = given(requestedWith())
    expect(startAttempt(story.state, worker, story.nowMs)).toMatchObject({
      events: [{ type: 'ExecutionStarted', data: { attempt: 1, workerId: 'w' } }],
    })
  })
  it('hands out no run that already runs', () => {
    const story = running()
    expect(startAttempt(story.state, worker, story.nowMs)).toMatchObject({ status: 'refused' })
  })
})

describe('signals', () => {
  it('resolve the oldest wait of their name', () => {
    const story = running().with(waitFor('a#1', 'go'), waitFor('b#1', 'go'))
    expect(story.command(signal('s1', 'go'))).toMatchObject({
      events: [{ type: 'SignalReceived' }, { type: 'WaitResolved', data: { path: 'a#1', signalId: 's1' } }],
    })
    expect(story.command(signal('s2', 'go'))).toMatchObject({ events: [{}, { data: { path: 'b#1', signalId: 's2' } }] })
  })
  it('that come early are kept, first in first out', () => {
    const story = running().with(signal('s1', 'go', 1), signal('s2', 'go', 2))
    expect(story.ask(waitFor('a#1', 'go'))).toMatchObject({ entry: { result: { payload: { inline: 1 } } } })
    expect(story.ask(waitFor('b#1', 'go'))).toMatchObject({ entry: { result: { payload: { inline: 2 } } } })
  })
  it('with a known id change nothing', () => {
    expect(running().with(signal('s1', 'go')).command(signal('s1', 'go'))).toEqual({ status: 'decided', events: [] })
  })
  it('to a finished run are refused', () => {
    const story = running().with({ type: 'complete', output: { inline: 1 } })
    expect(story.command(signal('s1', 'go'))).toMatchObject({ code: 'execution_finished' })
  })
  it('to no run are refused', () => {
    expect(decideCommand(undefined, signal('s1', 'go'), 'key:k', now)).toMatchObject({ code: 'execution_unknown' })
  })
})

describe('clocks', () => {
  it('fire a timer once its time has come, and only once', () => {
    const story = running().with(timer('t#1', 1000))
    expect(elapse(story.state, 't#1', story.nowMs + 999)).toMatchObject({ events: [] })
    story.after(1000)
    expect(typesOf(story.take(elapse(story.state, 't#1', story.nowMs)))).toEqual(['TimerFired'])
    expect(elapse(story.state, 't#1', story.nowMs)).toMatchObject({ events: [] })
  })
  it('time a wait out without a signal', () => {
    const story = running()
      .with(waitFor('w#1', 'go', 50))
      .after(50)
    expect(elapse(story.state, 'w#1', story.nowMs)).toMatchObject({ events: [{ data: { path: 'w#1' } }] })
  })
  it('time an approval out as the system', () => {
    const story = running().with(approval('a#1', 50)).after(50)
    expect(elapse(story.state, 'a#1', story.nowMs)).toMatchObject({
      events: [{ data: { decision: 'timed_out', by: 'system' } }],
    })
  })
  it('fail a run that exceeds its limit, and put its effects in doubt', () => {
    const story = running({ timeoutMs: 100 }).with(startedStep('pay#1', 0)).after(100)
    const decision = elapse(story.state, null, story.nowMs)
    expect(typesOf(decision)).toEqual(['StepOutcomeUnknown', 'ExecutionFailed'])
    expect(decision).toMatchObject({ events: [{}, { data: { error: { code: 'execution_timeout' } } }] })
  })
})

describe('approvals', () => {
  const approve = { type: 'DecideApproval', data: { path: 'a#1', decision: 'approved' } } as const
  const rejected = { type: 'DecideApproval', data: { path: 'a#1', decision: 'rejected' } } as const
  it('are decided by whoever was asked', () => {
    expect(running().with(approval('a#1')).command(approve, 'user:u')).toMatchObject({
      events: [{ data: { by: 'user:u' } }],
    })
  })
  it('that nobody asked for are unknown', () => {
    expect(running().command(approve)).toMatchObject({ code: 'approval_unknown' })
  })
  it('are decided once', () => {
    expect(running().with(approval('a#1'), approve).command(rejected)).toMatchObject({ code: 'approval_unknown' })
  })
  it('that say the same again change nothing', () => {
    expect(running().with(approval('a#1'), approve).command(approve)).toMatchObject({ events: [] })
  })
  it('that come after the time is over are refused', () => {
    const story = running().with(approval('a#1', 50)).after(50)
    story.take(elapse(story.state, 'a#1', story.nowMs))
    expect(story.command(rejected)).toMatchObject({ code: 'approval_unknown' })
  })
})

describe('pausing', () => {
  const pause = { type: 'PauseExecution', data: {} } as const
  const resume = { type: 'ResumeExecution', data: {} } as const
  it('stops the attempt and blocks dispatch until the run is resumed', () => {
    const story = running().with(pause)
    expect(story.state).toMatchObject({ status: 'paused', worker: null })
    expect(dispatchableFrom(story.state)).toBeNull()
    expect(story.with(resume).state.status).toBe('queued')
  })
  it('twice is refused, and so is resuming what runs', () => {
    expect(running().with(pause).command(pause)).toMatchObject({ code: 'execution_paused' })
    expect(running().command(resume)).toMatchObject({ code: 'execution_not_paused' })
  })
  it('lets clocks and signals be recorded meanwhile', () => {
    const story = running().with(waitFor('w#1', 'go'), pause, signal('s1', 'go', 7), resume)
    expect(story.state.settled.get('w#1')).toMatchObject({ result: { payload: { inline: 7 } } })
  })
  it('fences the attempt that was stopped', () => {
    expect(running().with(pause).ask(completedStep('a#1', 1), 1)).toMatchObject({ code: 'attempt_fenced' })
  })
})

describe('losing a worker', () => {
  it('requeues the run and keeps what is recorded', () => {
    const story = running().with(completedStep('a#1', 1), startedStep('b#1'))
    story.take(loseAttempt(story.state, 'disconnected', now))
    expect(story.state.status).toBe('queued')
    expect([...story.state.settled.keys()]).toEqual(['a#1'])
    expect(story.state.open.size).toBe(0)
  })
  it('puts effects that were under way in doubt', () => {
    const story = running().with(startedStep('pay#1', 10))
    expect(typesOf(story.take(loseAttempt(story.state, 'heartbeat_missed', now)))).toEqual([
      'AttemptLost',
      'StepOutcomeUnknown',
    ])
    expect(story.state.open.get('pay#1')).toMatchObject({ type: 'unknown' })
  })
  it('more than ten times in a row without a result fails the run', () => {
    const story = given(requestedWith())
    for (let attempt = 1; attempt <= 10; attempt++) {
      story.with(startedAs(attempt)).take(loseAttempt(story.state, 'disconnected', now))
      expect(story.state.status).toBe('queued')
    }
    story.with(startedAs(11))
    expect(typesOf(loseAttempt(story.state, 'disconnected', now))).toEqual(['AttemptLost', 'ExecutionFailed'])
  })
  it('counts anew after a result, and engine restarts not at all', () => {
    const story = given(requestedWith())
    for (let attempt = 1; attempt <= 30; attempt++) {
      story.with(startedAs(attempt))
      if (attempt % 10 === 0) story.with(completedStep(`s#${attempt}`, 1))
      story.take(loseAttempt(story.state, attempt % 2 ? 'engine_restarted' : 'disconnected', now))
    }
    expect(story.state.status).toBe('queued')
  })
})

describe('outcomes in doubt', () => {
  const doubtful = () => {
    const story = running().with(startedStep('pay#1', 10))
    story.take(loseAttempt(story.state, 'disconnected', now))
    return story
  }
  const resolve = (resolution: object) => ({ type: 'ResolveStepOutcome', data: { path: 'pay#1', resolution } }) as never
  it('are settled by a person', () => {
    const story = doubtful().with(resolve({ status: 'completed', output: { inline: 'paid' } }))
    expect(story.state.settled.get('pay#1')).toMatchObject({ result: { payload: { inline: 'paid' } } })
  })
  it('may be allowed another try', () => {
    const story = doubtful().with(resolve({ status: 'retry' }))
    expect(story.state.open.get('pay#1')).toMatchObject({ type: 'retrying', stepAttempt: 2 })
  })
  it('cannot be resolved when there is no doubt', () => {
    expect(running().command(resolve({ status: 'retry' }))).toMatchObject({ code: 'outcome_not_unknown' })
  })
})

describe('children', () => {
  const deliver = {
    type: 'DeliverChildOutcome',
    data: { path: 'c#1', childId: 'kid', outcome: { status: 'completed', output: { inline: 42 } } },
  } as const
  it('report their outcome once', () => {
    const story = running().with(child('c#1', 'kid'))
    expect(typesOf(story.command(deliver))).toEqual(['ChildFinished'])
    expect(story.command(deliver)).toMatchObject({ events: [] })
  })
  it('that failed reach the code as child_failed', () => {
    const story = running().with(child('c#1', 'kid'))
    story.command({
      type: 'DeliverChildOutcome',
      data: { path: 'c#1', childId: 'kid', outcome: { status: 'cancelled' } },
    })
    expect(story.state.settled.get('c#1')).toMatchObject({ result: { error: { code: 'child_failed' } } })
  })
  it('keep a finished parent open until they have reported', () => {
    const story = running().with(child('c#1', 'kid'))
    const complete = story.ask({ type: 'complete', output: { inline: 1 } })
    expect(
      closesWith(running().with(child('c#1', 'kid')).state, complete.status === 'decided' ? complete.events : []),
    ).toBe(false)
    const finished = decideCommand(story.state, deliver, 'system', now)
    expect(closesWith(story.state, finished.status === 'decided' ? finished.events : [])).toBe(true)
  })
  it('are delivered to their parent before they close', () => {
    const requested = requestedWith()
    if (requested.type !== 'ExecutionRequested') throw new Error('unreachable')
    const story = given(
      { ...requested, data: { ...requested.data, parent: { executionId: 'p', path: 'c#1' } } },
      startedAs(1),
    )
    story.with({ type: 'complete', output: { inline: 1 } })
    expect(closesWith(story.state, [])).toBe(false)
    story.take(outcomeDelivered(story.state))
    expect(closesWith(story.state, [])).toBe(true)
  })
})

describe('concurrency keys', () => {
  const limited = { concurrency: { key: 'k', limit: 1 } }
  it('hold a run back until its permit comes', () => {
    const story = given(requestedWith(limited))
    expect(story.state.status).toBe('awaiting_permit')
    story.command({ type: 'GrantPermit', data: { key: 'k' } })
    expect(story.state.status).toBe('queued')
  })
  it('keep a cancelled run open until its permit is returned', () => {
    const story = given(requestedWith(limited)).with({ type: 'CancelExecution', data: {} })
    expect(closesWith(story.state, [])).toBe(false)
    story.take(permitReturned(story.state))
    expect(closesWith(story.state, [])).toBe(true)
  })
  it('survive a pause while waiting', () => {
    const story = given(requestedWith(limited)).with(
      { type: 'PauseExecution', data: {} },
      { type: 'ResumeExecution', data: {} },
    )
    expect(story.state.status).toBe('awaiting_permit')
  })
})

describe('cancelling', () => {
  const cancel = { type: 'CancelExecution', data: { reason: 'enough' } } as const
  it('ends the run and closes it when it owes nothing', () => {
    const story = running()
    const decision = decideCommand(story.state, cancel, 'key:k', now)
    expect(typesOf(decision)).toEqual(['ExecutionCancelled'])
    expect(closesWith(story.state, decision.status === 'decided' ? decision.events : [])).toBe(true)
  })
  it('twice changes nothing; after completion it is refused', () => {
    expect(running().with(cancel).command(cancel)).toEqual({ status: 'decided', events: [] })
    expect(
      running()
        .with({ type: 'complete', output: { inline: 1 } })
        .command(cancel),
    ).toMatchObject({ code: 'execution_finished' })
  })
})
