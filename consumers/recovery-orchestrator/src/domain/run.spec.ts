import { type ExecutionEvent, executionOptions, type Failure } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { compensatesLabel, recoverCommandId } from './outbox.ts'
import { pointBeforeEffects } from './plan.ts'
import { followed, lookForStall, observe, type Report, type RunView, refusedCommand } from './run.ts'

const error: Failure = { code: 'step_failed', detail: 'the shop is closed', retryable: true }
const loops = { repeats: 3, window: 10, withinMs: 60_000 }

/** A run that tells its events, and what was reported because of each. */
class Story {
  readonly run: RunView
  readonly reports: Report[] = []
  time = 1000
  version = 1

  constructor(options: object = { recovery: { policy: 'mine' } }) {
    const data = {
      executionId: 'run-1',
      agentId: 'buyer',
      input: { inline: null },
      requestHash: 'h',
      options: executionOptions.parse(options),
    }
    const run = followed(data, this.context())
    if (!run) throw new Error('nobody follows it')
    this.run = run
  }

  context() {
    return { tenant: 't', correlationId: 'c', time: this.time, version: this.version }
  }

  tell(...events: ExecutionEvent[]): this {
    for (const event of events) {
      this.time += 10
      this.version++
      this.reports.push(...observe(this.run, event, this.context(), { loops }))
    }
    return this
  }

  get told(): [string, string][] {
    return this.reports.map(({ incident, command }) => [incident, command.type])
  }

  get facts() {
    const last = this.reports.findLast(({ command }) => command.type === 'ReportFailure')
    if (last?.command.type !== 'ReportFailure') throw new Error('no failure was reported')
    return last.command.data.facts
  }
}

const head = { attempt: 1, kind: 'tool' as const, stepAttempt: 1, requestHash: 'h', startedAt: 0, durationMs: 1 }
const started = (attempt = 1): ExecutionEvent => ({ type: 'ExecutionStarted', data: { attempt, workerId: 'w' } })
const done = (path: string, input: unknown = path, kind: 'tool' | 'llm' = 'tool'): ExecutionEvent => ({
  type: 'StepCompleted',
  data: {
    ...head,
    kind,
    path,
    name: path.split('#')[0] as string,
    input: { inline: input as string },
    output: { inline: 1 },
    usage: { costMicroCredits: 5 },
  },
})
const broke = (path: string, retryAt: number | null = null): ExecutionEvent => ({
  type: 'StepFailed',
  data: { ...head, path, name: path.split('#')[0] as string, error, retryAt },
})
const awaited = (incident = 1, more: object = {}): ExecutionEvent => ({
  type: 'RecoveryAwaited',
  data: { incident, attempt: incident, error, giveUpAt: 9_999_999, ...more },
})
const recovered = (
  incident = 1,
  action: object = { type: 'retry', delayMs: 0, avoidWorker: false },
): ExecutionEvent => ({
  type: 'ExecutionRecovered',
  data: { incident, action: action as never, by: 'system' },
})

describe('a run', () => {
  it('is followed when it asks for recovery, or undoes effects', () => {
    expect(() => new Story({})).toThrow('nobody')
    expect(new Story({ labels: { [compensatesLabel]: 'x.1' } }).run.compensates).toBe('x.1')
  })

  it('that never fails reports nothing', () => {
    const story = new Story().tell(started(), done('a#1'), {
      type: 'ExecutionCompleted',
      data: { attempt: 1, output: { inline: 1 } },
    })
    expect(story.reports).toEqual([])
    expect(story.run.terminal).toBe(true)
  })

  it('reports a failure with its step, its cost and where it can go back to', () => {
    const story = new Story().tell(started(), done('a#1'), broke('b#1', 50), done('c#1'), broke('b#1'), awaited())
    expect(story.told).toEqual([['run-1.1', 'ReportFailure']])
    expect(story.facts).toMatchObject({
      step: { path: 'b#1', name: 'b', kind: 'tool' },
      goodPaths: ['c#1', 'a#1'],
      costMicroCredits: 10,
      stepsCompleted: 2,
      policy: 'mine',
      chain: [{ executionId: 'run-1', agentId: 'buyer', path: 'b#1', code: 'step_failed' }],
    })
  })

  it('has no failed step when the code failed between steps', () => {
    const own: Failure = { code: 'agent_threw', detail: 'x', retryable: false }
    const story = new Story().tell(started(), broke('b#1'), done('a#1'), awaited(1, { error: own }))
    expect(story.facts.step).toBeUndefined()
  })

  it('takes the worker’s word for which step it was', () => {
    const own: Failure = { code: 'agent_threw', detail: 'wrapped', retryable: false }
    const story = new Story().tell(started(), broke('b#1'), awaited(1, { error: own, rerun: ['b#1'] }))
    expect(story.facts.step?.path).toBe('b#1')
  })

  it('knows a child that failed, and what it said', () => {
    const childError: Failure = { code: 'model_overloaded', detail: 'busy', retryable: true }
    const mine: Failure = {
      code: 'child_failed',
      detail: 'child execution kid failed: busy',
      retryable: false,
      data: { childId: 'kid' },
    }
    const story = new Story().tell(
      started(),
      done('a#1'),
      {
        type: 'ChildRequested',
        data: {
          attempt: 1,
          path: 'ask#1',
          requestHash: 'h',
          childId: 'kid',
          agentId: 'expert',
          input: { inline: 1 },
          options: executionOptions.parse({}),
        },
      },
      {
        type: 'ChildFinished',
        data: { path: 'ask#1', childId: 'kid', outcome: { status: 'failed', error: childError } },
      },
      awaited(1, { error: mine }),
    )
    expect(story.facts).toMatchObject({ step: { path: 'ask#1', name: 'expert', kind: 'child' }, goodPaths: ['a#1'] })
    expect(story.facts.chain.at(-1)).toMatchObject({ executionId: 'kid', agentId: 'expert', code: 'model_overloaded' })
  })

  it('has recovered once the failed step works, not before', () => {
    const story = new Story().tell(
      started(),
      done('a#1'),
      broke('b#1'),
      awaited(),
      recovered(),
      started(2),
      done('z#1'),
    )
    expect(story.told.at(-1)).toEqual(['run-1.1', 'ReportApplied'])
    story.tell(done('b#1'))
    expect(story.reports.at(-1)?.command).toMatchObject({
      type: 'ReportRecovered',
      data: { how: 'progress', path: 'b#1' },
    })
    story.tell(awaited(2))
    expect(story.told.at(-1)).toEqual(['run-1.2', 'ReportFailure'])
  })

  it('that fails again before that is the same incident', () => {
    const story = new Story().tell(
      started(),
      broke('b#1'),
      awaited(),
      recovered(),
      started(2),
      broke('b#1'),
      awaited(2),
    )
    expect(story.told).toEqual([
      ['run-1.1', 'ReportFailure'],
      ['run-1.1', 'ReportApplied'],
      ['run-1.1', 'ReportFailure'],
    ])
    expect(story.facts).toMatchObject({ awaiting: 2, recoveries: 1 })
  })

  it('that failed between steps has recovered with anything new', () => {
    const own: Failure = { code: 'agent_threw', detail: 'x', retryable: false }
    const story = new Story().tell(
      started(),
      done('a#1'),
      awaited(1, { error: own }),
      recovered(),
      started(2),
      done('a#1'),
    )
    expect(story.told.at(-1)?.[1]).toBe('ReportApplied')
    expect(story.tell(done('b#1')).told.at(-1)?.[1]).toBe('ReportRecovered')
  })

  it('goes on after a default as if the step had worked', () => {
    const settle = { type: 'settle', path: 'b#1', output: { inline: 0 } }
    const story = new Story().tell(started(), broke('b#1'), awaited(), recovered(1, settle), started(2), done('c#1'))
    expect(story.told.at(-1)?.[1]).toBe('ReportRecovered')
  })

  it('ends its incident with its own end', () => {
    const failing = () => new Story().tell(started(), broke('b#1'), awaited())
    const ends: [ExecutionEvent, string][] = [
      [{ type: 'ExecutionFailed', data: { error } }, 'ReportRunEnded'],
      [{ type: 'ExecutionCancelled', data: { by: 'key:x' } }, 'ReportRunEnded'],
      [{ type: 'ExecutionCompleted', data: { attempt: 2, output: { inline: 1 } } }, 'ReportRecovered'],
    ]
    for (const [end, type] of ends) expect(failing().tell(end).told.at(-1)).toEqual(['run-1.1', type])
  })

  it('goes back as it was told', () => {
    const back = (toPath: string | null): ExecutionEvent => ({
      type: 'ExecutionRolledBack',
      data: { toPath, generation: 1, by: 'system' },
    })
    const story = new Story().tell(started(), done('a#1'), done('c#1'), broke('b#1'), awaited(), back('a#1'))
    story.tell(recovered(1, { type: 'roll_back', toPath: 'a#1', delayMs: 0 }))
    expect(story.told.filter(([, type]) => type === 'ReportApplied')).toHaveLength(1)
    story.tell(started(2), done('c#1'), broke('b#1'), awaited(2))
    expect(story.facts.goodPaths).toEqual(['c#1', 'a#1'])
  })

  it('gets nowhere by the end of a child that it left behind', () => {
    const child = (childId: string): ExecutionEvent => ({
      type: 'ChildRequested',
      data: {
        attempt: 1,
        path: 'ask#1',
        requestHash: 'h',
        childId,
        agentId: 'expert',
        input: { inline: 1 },
        options: executionOptions.parse({}),
      },
    })
    const end: ExecutionEvent = {
      type: 'ChildFinished',
      data: { path: 'ask#1', childId: 'kid', outcome: { status: 'completed', output: { inline: 1 } } },
    }
    const own: Failure = { code: 'agent_threw', detail: 'x', retryable: false }
    const settle = { type: 'settle', path: 'ask#1', output: { inline: 0 } }
    const settled = new Story().tell(started(), child('kid'), awaited(1, { error: own }), recovered(1, settle), end)
    expect(settled.told.at(-1)?.[1]).toBe('ReportApplied')
    const back: ExecutionEvent = { type: 'ExecutionRolledBack', data: { toPath: null, generation: 1, by: 'key:x' } }
    const story = new Story().tell(started(), child('kid'), back, started(2), child('kid.g1'), end)
    story.tell(awaited(1, { error: own }))
    expect(story.facts.goodPaths).toEqual([])
  })

  it('keeps its effects for whoever undoes them', () => {
    const intent: ExecutionEvent = {
      type: 'StepStarted',
      data: {
        attempt: 1,
        path: 'pay#1',
        name: 'pay',
        kind: 'tool',
        stepAttempt: 1,
        requestHash: 'h',
        intent: { idempotencyKey: 'k', reservedMicroCredits: 0 },
      },
    }
    const story = new Story().tell(started(), intent, done('pay#1'), done('look#1'), broke('b#1'), awaited())
    expect(story.facts.effects).toEqual([
      { path: 'pay#1', name: 'pay', idempotencyKey: 'k', input: { inline: 'pay#1' }, output: { inline: 1 } },
    ])
  })

  it('keeps what can be undone, once, and no calls of models', () => {
    const intent = (path: string, kind: 'tool' | 'llm' = 'tool'): ExecutionEvent => ({
      type: 'StepStarted',
      data: {
        attempt: 1,
        path,
        name: path,
        kind,
        stepAttempt: 1,
        requestHash: 'h',
        input: { inline: 'x'.repeat(5000) },
        intent: { idempotencyKey: `key of ${path}`, reservedMicroCredits: 5 },
      },
    })
    const story = new Story().tell(started(), intent('chat#1', 'llm'), done('chat#1', 1, 'llm'))
    story.tell(intent('pay#1'), done('pay#1'), intent('book#1'), intent('dead#1'), broke('dead#1'))
    const output = { inline: 'booked' }
    story.tell({
      type: 'StepOutcomeResolved',
      data: { path: 'book#1', by: 'worker:w', resolution: { status: 'completed', output } },
    })
    expect(JSON.stringify([...story.run.effects.intents]).length).toBeLessThan(100)
    story.tell(broke('b#1'), awaited())
    expect(story.facts.effects.map(({ path }) => path)).toEqual(['pay#1', 'book#1'])
    story.tell({ type: 'ExecutionRolledBack', data: { toPath: null, generation: 1, by: 'system' } })
    story.tell(recovered(1, { type: 'roll_back', toPath: null, delayMs: 0, undone: true }))
    story.tell(started(2), intent('pay#1'), done('pay#1'), broke('b#1'), awaited(2))
    expect(story.facts.effects.map(({ path }) => path)).toEqual(['pay#1'])
  })

  it('counts all its effects and tells of the latest', () => {
    const effect = (n: number): ExecutionEvent[] => [
      {
        type: 'StepStarted',
        data: { ...head, path: `pay#${n}`, name: 'pay', intent: { idempotencyKey: `k${n}`, reservedMicroCredits: 0 } },
      },
      done(`pay#${n}`),
    ]
    const story = new Story().tell(started(), ...Array.from({ length: 250 }, (_, i) => effect(i + 1)).flat())
    story.tell(broke('b#1'), awaited())
    expect(story.facts).toMatchObject({ effectsMade: 250, version: story.version })
    expect(story.facts.effects.map(({ path }) => path)).toEqual(Array.from({ length: 100 }, (_, i) => `pay#${i + 151}`))
    expect(pointBeforeEffects(story.facts)).toBeNull()
  })

  it('remembers what of its effects was undone, also when it goes on', () => {
    const effect = (n: number): ExecutionEvent[] => [
      {
        type: 'StepStarted',
        data: { ...head, path: `pay#${n}`, name: 'pay', intent: { idempotencyKey: `k${n}`, reservedMicroCredits: 0 } },
      },
      done(`pay#${n}`),
    ]
    const story = new Story().tell(started(), ...[1, 2, 3].flatMap(effect), broke('b#1'), awaited())
    const undone = recovered(1, { type: 'retry', delayMs: 0, avoidWorker: false })
    if (undone.type === 'ExecutionRecovered') undone.data.effectsUndone = [{ from: 1, to: 3 }]
    story.tell(undone, started(2), ...effect(4), broke('b#1'), awaited(2))
    expect(story.facts).toMatchObject({ effectsMade: 2, effectsUndone: [{ from: 1, to: 3 }] })
    expect(story.facts.effects.map(({ path }) => path)).toEqual(['pay#1', 'pay#4'])
  })

  it('counts what its children have spent as its own', () => {
    const asked: ExecutionEvent = {
      type: 'ChildRequested',
      data: {
        attempt: 1,
        path: 'c#1',
        requestHash: 'h',
        childId: 'kid',
        agentId: 'x',
        input: { inline: 1 },
        options: { priority: 0 },
      },
    }
    const over: ExecutionEvent = {
      type: 'ChildFinished',
      data: { path: 'c#1', childId: 'kid', outcome: { status: 'cancelled' }, spentMicroCredits: 70 },
    }
    const story = new Story().tell(started(), asked, over, broke('b#1'), awaited())
    expect(story.facts.costMicroCredits).toBe(70)
  })

  it('that undoes effects reports its end to the incident, and whether a worker ever took it up', () => {
    const undo = () => new Story({ labels: { [compensatesLabel]: 'x.1' } })
    const end: ExecutionEvent = { type: 'ExecutionFailed', data: { error } }
    const reported = (story: Story) => story.reports.map(({ incident, command }) => ({ incident, ...command }))
    expect(reported(undo().tell(end))).toMatchObject([
      {
        incident: 'x.1',
        type: 'ReportCompensation',
        data: { status: 'failed', detail: expect.stringContaining('is there one that runs agent buyer') },
      },
    ])
    expect(reported(undo().tell(started(), end))).toMatchObject([
      { data: { status: 'failed', detail: expect.stringMatching(/^step_failed: the shop/) } },
    ])
  })

  it('tells of commands that it refused, if they were an incident’s', () => {
    const { run } = new Story().tell(started(), broke('b#1'), awaited())
    const refusal = { code: 'step_unknown' as const, detail: 'no' }
    expect(refusedCommand(run, 'cmd_0190', refusal, 1)).toEqual([])
    expect(refusedCommand(run, recoverCommandId('t', 'run-1.1', 1), refusal, 1)).toMatchObject([
      { incident: 'run-1.1' },
    ])
  })
})

describe('a run that gets nowhere', () => {
  it('is interrupted once for each attempt when it goes round in circles, and goes back to before that', () => {
    const story = new Story().tell(
      started(),
      done('a#1'),
      done('find#1', 'x'),
      done('b#1'),
      done('find#2', 'x'),
      done('find#3', 'x'),
      done('find#4', 'x'),
    )
    expect(story.told).toEqual([['run-1.1', 'ProposeIntervention']])
    const { command } = story.reports[0] as Report
    const looping = command.type === 'ProposeIntervention' ? command.data.error : error
    expect(looping).toMatchObject({
      code: 'execution_looping',
      data: { name: 'find', paths: ['find#1', 'find#2', 'find#3'] },
    })
    story.tell(awaited(1, { error: looping }))
    expect(story.facts).toMatchObject({ goodPaths: ['a#1'] })
    expect(story.facts.step).toBeUndefined()
  })
  it('is interrupted when it stands still, not while it waits', () => {
    const { run } = new Story().tell(started(), done('a#1'))
    expect(lookForStall(run, 500, 1400)).toEqual([])
    expect(lookForStall(run, 500, 1600)).toMatchObject([{ incident: 'run-1.1', command: { data: { kind: 'stall' } } }])
    expect(lookForStall(run, 500, 1700)).toEqual([])
    const waiting = new Story().tell(started(), { type: 'ExecutionSuspended', data: { attempt: 1, reason: 'waiting' } })
    expect(lookForStall(waiting.run, 500, 9000)).toEqual([])
  })
  describe('while its worker still holds it', () => {
    // the limit may be shorter than the time that a waiting run stays with its worker
    const at = { attempt: 1, requestHash: 'h' }
    const waits: [string, ExecutionEvent, ExecutionEvent][] = [
      [
        'a timer',
        { type: 'TimerStarted', data: { ...at, path: 'w#1', fireAt: 1e6 } },
        { type: 'TimerFired', data: { path: 'w#1' } },
      ],
      [
        'a signal',
        { type: 'WaitStarted', data: { ...at, path: 'w#1', name: 'go' } },
        { type: 'WaitResolved', data: { path: 'w#1', signalId: 's' } },
      ],
      [
        'an approval',
        { type: 'ApprovalRequested', data: { ...at, path: 'w#1', title: 'may I?' } },
        { type: 'ApprovalDecided', data: { path: 'w#1', decision: 'approved', by: 'anna' } },
      ],
      [
        'a child',
        {
          type: 'ChildRequested',
          data: {
            ...at,
            path: 'w#1',
            childId: 'kid',
            agentId: 'kid',
            input: { inline: null },
            options: executionOptions.parse({}),
          },
        },
        {
          type: 'ChildFinished',
          data: { path: 'w#1', childId: 'kid', outcome: { status: 'completed', output: { inline: 1 } } },
        },
      ],
      ['the time of a retry', broke('w#1', 1e6), done('w#1')],
    ]
    const working: ExecutionEvent = { type: 'StepStarted', data: { ...head, path: 's#1', name: 's' } }
    it.each(waits)('stands still by right when all that it waits for is %s', (_, begins, ends) => {
      const story = new Story().tell(started(), begins)
      expect(lookForStall(story.run, 500, story.time + 100_000)).toEqual([])
      story.tell(ends)
      expect(lookForStall(story.run, 500, story.time + 499)).toEqual([])
      expect(lookForStall(story.run, 500, story.time + 500)).toHaveLength(1)
    })
    it.each(waits)('is interrupted when a step hangs beside %s', (_, begins) => {
      const story = new Story().tell(started(), begins, working)
      expect(lookForStall(story.run, 500, story.time + 500)).toHaveLength(1)
    })
    it('is interrupted when a step hangs that is tried again', () => {
      const again: ExecutionEvent = { type: 'StepStarted', data: { ...head, path: 'w#1', name: 'w', stepAttempt: 2 } }
      const story = new Story().tell(started(), broke('w#1', 5), again)
      expect(lookForStall(story.run, 500, story.time + 500)).toHaveLength(1)
    })
    it('forgets what an attempt that ended was working on', () => {
      const lost: ExecutionEvent = { type: 'AttemptLost', data: { attempt: 1, workerId: 'w', reason: 'disconnected' } }
      const story = new Story().tell(started(), waits[0]?.[1] as ExecutionEvent, working, lost, started(2))
      expect(lookForStall(story.run, 500, story.time + 500)).toEqual([])
    })
  })
})

it('says the same of the same events, so that reports can be repeated', () => {
  const tell = () =>
    new Story().tell(started(), done('a#1'), broke('b#1'), awaited(), recovered(), started(2), done('b#1')).reports
  expect(tell()).toEqual(tell())
})
