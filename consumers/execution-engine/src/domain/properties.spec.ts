import type { ExecutionCommand, PermitEvent, RecoveryAction } from '@omium/schemas'
import { executionEvents, isTerminal, JournalCollector } from '@omium/schemas'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  approval,
  child,
  completedStep,
  failedStep,
  flaky,
  foldAll,
  given,
  now,
  requestedWith,
  signal,
  startedStep,
  timer,
  waitFor,
} from '../../test/given.ts'
import { elapse, loseAttempt, startAttempt } from './decide.ts'
import type { SettledEntry } from './entries.ts'
import { decidePermit, evolvePermits, type PermitPool } from './permits.ts'
import type { WorkerRequest } from './requests.ts'
import { retryDelayMs, unitHash } from './retry.ts'
import { decodeExecution, encodeExecution } from './snapshot.ts'

const path = fc.constantFrom('a#1', 'b#1', 'c#1', 'd#1')
const name = fc.constantFrom('go', 'stop')
const request: fc.Arbitrary<WorkerRequest> = fc.oneof(
  fc
    .tuple(path, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 30 }))
    .map(([p, n, cost]) => completedStep(p, 1, n, cost)),
  fc.tuple(path, fc.integer({ min: 1, max: 3 }), fc.boolean()).map(([p, n, r]) => failedStep(p, n, r)),
  fc
    .tuple(path, fc.option(fc.constant(30)), fc.integer({ min: 1, max: 2 }))
    .map(([p, r, n]) => startedStep(p, r ?? undefined, n)),
  fc.tuple(path, fc.integer({ min: 0, max: 50 })).map(([p, d]) => timer(p, d)),
  fc.tuple(path, name, fc.option(fc.integer({ min: 1, max: 50 }))).map(([p, n, t]) => waitFor(p, n, t ?? undefined)),
  path.map((p) => approval(p, 20)),
  path.map((p) => child(p, `kid-${p.slice(0, 1)}`)),
  fc.constantFrom<WorkerRequest>(
    { type: 'suspend', reason: 'waiting' },
    { type: 'suspend', reason: 'drained' },
    { type: 'fail', error: { code: 'agent_threw', detail: 'x', retryable: false } },
    { type: 'complete', output: { inline: 1 } },
  ),
)
const grandchild = { code: 'child_failed' as const, detail: 'x', retryable: false, data: { childId: 'grandchild' } }
const action: fc.Arbitrary<RecoveryAction> = fc.oneof(
  fc.constantFrom<RecoveryAction>(
    { type: 'retry', delayMs: 0, avoidWorker: true },
    { type: 'hold', untilMs: now + 1_000 },
    { type: 'give_up' },
  ),
  path.map((p): RecoveryAction => ({ type: 'retry', delayMs: 0, avoidWorker: false, rerun: [p] })),
  path.map((p): RecoveryAction => ({ type: 'settle', path: p, output: { inline: 3 } })),
  path.map((p): RecoveryAction => ({ type: 'roll_back', toPath: p, delayMs: 0 })),
)
const command: fc.Arbitrary<ExecutionCommand> = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 5 }), name).map(([n, s]) => signal(`s${n}`, s)),
  path.map((p): ExecutionCommand => ({ type: 'DecideApproval', data: { path: p, decision: 'approved' } })),
  path.map(
    (p): ExecutionCommand => ({ type: 'ResolveStepOutcome', data: { path: p, resolution: { status: 'retry' } } }),
  ),
  path.map(
    (p): ExecutionCommand => ({
      type: 'DeliverChildOutcome',
      data: { path: p, childId: `kid-${p.slice(0, 1)}`, outcome: { status: 'completed', output: { inline: 2 } } },
    }),
  ),
  path.map(
    (p): ExecutionCommand => ({
      type: 'DeliverChildOutcome',
      data: { path: p, childId: `kid-${p.slice(0, 1)}`, outcome: { status: 'failed', error: grandchild } },
    }),
  ),
  fc.constantFrom<ExecutionCommand>({ type: 'PauseExecution', data: {} }, { type: 'ResumeExecution', data: {} }),
  fc.option(path).map((p): ExecutionCommand => ({ type: 'RollBackExecution', data: { toPath: p } })),
  fc.constant<ExecutionCommand>({
    type: 'InterruptExecution',
    data: { error: { code: 'agent_threw', detail: 'x', retryable: false } },
  }),
  fc
    .tuple(fc.integer({ min: 1, max: 3 }), action)
    .map(([incident, action]): ExecutionCommand => ({ type: 'RecoverExecution', data: { incident, action } })),
)
type Happening =
  | { do: 'ask'; request: WorkerRequest }
  | { do: 'command'; command: ExecutionCommand }
  | { do: 'dispatch' }
  | { do: 'lose' }
  | { do: 'break'; rerun: string[] | undefined; action: RecoveryAction }
  | { do: 'pass'; ms: number; path: string }
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: request.map((r): Happening => ({ do: 'ask', request: r })) },
  { weight: 3, arbitrary: command.map((c): Happening => ({ do: 'command', command: c })) },
  { weight: 4, arbitrary: fc.constant<Happening>({ do: 'dispatch' }) },
  { weight: 1, arbitrary: fc.constant<Happening>({ do: 'lose' }) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.option(fc.array(path, { maxLength: 2 })), action)
      .map(([rerun, a]): Happening => ({ do: 'break', rerun: rerun ?? undefined, action: a })),
  },
  { weight: 1, arbitrary: fc.tuple(fc.nat(60), path).map(([ms, p]): Happening => ({ do: 'pass', ms, path: p })) },
)

// without a size they would hardly ever be longer than ten
const lives = (maxLength: number) => fc.array(happening, { maxLength, size: 'max' })

const live = (happenings: Happening[]) => {
  // without attempts of its own a run comes to wait for its recovery at the first failure, which is where most goes on
  const retry = happenings.length % 2 === 0 && { retry: flaky }
  const story = given(requestedWith({ budgetMicroCredits: 100, ...retry, recovery: { policy: 'default' } }))
  for (const h of happenings) {
    if (h.do === 'ask') story.ask(h.request)
    else if (h.do === 'command') story.command(h.command)
    else if (h.do === 'dispatch') story.take(startAttempt(story.state, { id: 'w', runtime: 'node' }, story.nowMs))
    else if (h.do === 'break') {
      story.ask({ type: 'fail', error: { code: 'agent_threw', detail: 'x', retryable: false }, rerun: h.rerun })
      const { incident = 1 } = story.state.recovery ?? {}
      story.command({ type: 'RecoverExecution', data: { incident, action: h.action } })
    } else if (h.do === 'lose') story.take(loseAttempt(story.state, 'disconnected', now))
    else story.after(h.ms).take(elapse(story.state, h.path, story.nowMs))
  }
  return story
}

describe('any life of an execution', () => {
  it('keeps the invariants of its state', () => {
    fc.assert(
      fc.property(lives(60), (happenings) => {
        const { state } = live(happenings)
        for (const p of state.settled.keys()) expect(state.open.has(p)).toBe(false)
        expect(state.worker !== null).toBe(state.status === 'running')
        const intents = [...state.open.values()].flatMap((e) =>
          (e.type === 'step' || e.type === 'unknown') && e.intent ? [e.intent] : [],
        )
        if (!isTerminal(state.status)) {
          expect(state.reservedMicroCredits).toBe(intents.reduce((sum, i) => sum + i.reservedMicroCredits, 0))
        }
        const open = [...state.open.values()].filter((e) => e.type === 'child').length
        expect(state.openChildren).toBe(open + state.abandoned.size)
        expect(state.recovery !== null).toBe(state.status === 'recovering')
        const waiting = [...state.open.values()].filter((e) => e.type === 'wait').map((e) => e.path)
        expect([...state.waits.values()].flat().sort()).toEqual(waiting.sort())
        // an intent is open only while its attempt is: afterwards it is in doubt
        if (state.worker === null) expect([...state.open.values()].some((e) => e.type === 'step')).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  it('writes only events of the catalogue and survives a snapshot at any point', () => {
    fc.assert(
      fc.property(lives(40), (happenings) => {
        const story = live(happenings)
        for (const event of story.events) executionEvents[event.type].data.parse(event.data)
        const { state } = story
        expect(decodeExecution(JSON.parse(JSON.stringify(encodeExecution(state))))).toEqual(state)
        expect(foldAll(story.events, story.times)).toEqual(state)
      }),
      { numRuns: 200 },
    )
  })

  it('is told by its history alone as the engine knows it', () => {
    fc.assert(
      fc.property(lives(60), (happenings) => {
        const story = live(happenings)
        const { state } = story
        if (isTerminal(state.status)) return
        const told = new JournalCollector()
        for (const event of story.events) told.add(event)
        const entryOf = ({ path, kind, requestHash, result }: SettledEntry) => ({
          path,
          kind,
          requestHash,
          result: result.type === 'signal' ? { type: result.type, payload: result.payload } : result,
        })
        expect(told.entries.map((entry) => entryOf(entry as SettledEntry))).toEqual(
          [...state.settled.values()].map(entryOf),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('settles a path at most once between roll backs', () => {
    fc.assert(
      fc.property(lives(60), (happenings) => {
        const settled = new Set<string>()
        for (const event of live(happenings).events) {
          if (event.type === 'ExecutionRolledBack') settled.clear()
          if (event.type === 'StepCompleted' || event.type === 'TimerFired' || event.type === 'WaitResolved') {
            expect(settled.has(event.data.path)).toBe(false)
            settled.add(event.data.path)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('a pool of permits', () => {
  const id = fc.integer({ min: 1, max: 8 }).map((n) => `r${n}`)
  const use = fc.oneof(
    fc.record({
      type: fc.constant('AcquirePermit' as const),
      data: fc.record({ executionId: id, limit: fc.constant(2), priority: fc.integer({ min: -1, max: 1 }) }),
    }),
    fc.record({ type: fc.constant('ReleasePermit' as const), data: fc.record({ executionId: id }) }),
  )
  it('never issues more than its limit, never idles while someone waits, and serves nobody twice', () => {
    fc.assert(
      fc.property(fc.array(use, { maxLength: 60 }), (uses) => {
        let pool: PermitPool | undefined
        const issued: string[] = []
        for (const u of uses) {
          for (const event of decidePermit(pool, u).events as PermitEvent[]) {
            pool = evolvePermits(pool, event, { tenant: 't', key: 'k', correlationId: 'c' })
            if (event.type === 'PermitIssued') issued.push(event.data.executionId)
          }
          if (pool) {
            expect(pool.holders.size).toBeLessThanOrEqual(2)
            if (pool.queue.size > 0) expect(pool.holders.size).toBe(2)
          }
        }
        expect(new Set(issued).size).toBe(issued.length)
      }),
      { numRuns: 300 },
    )
  })
  it('serves the larger priority first, then the older', () => {
    let pool: PermitPool | undefined
    const send = (executionId: string, priority: number) => {
      for (const event of decidePermit(pool, { type: 'AcquirePermit', data: { executionId, limit: 1, priority } })
        .events) {
        pool = evolvePermits(pool, event, { tenant: 't', key: 'k', correlationId: 'c' })
      }
    }
    send('first', 0)
    send('low', 0)
    send('high', 5)
    expect(decidePermit(pool, { type: 'ReleasePermit', data: { executionId: 'first' } }).events.at(-1)).toEqual({
      type: 'PermitIssued',
      data: { executionId: 'high' },
    })
  })
})

describe('retry delays', () => {
  it('stay within the policy and depend on nothing but their seed', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 50 }), (seed, attempt) => {
        const policy = { ...flaky, jitter: 0.5 }
        const delay = retryDelayMs(policy, attempt, seed)
        expect(delay).toBe(retryDelayMs(policy, attempt, seed))
        expect(delay).toBeGreaterThanOrEqual(50)
        expect(delay).toBeLessThanOrEqual(1000)
      }),
    )
  })
  it('spread evenly', () => {
    const mean = Array.from({ length: 1000 }, (_, i) => unitHash(`seed-${i}`)).reduce((a, b) => a + b) / 1000
    expect(mean).toBeGreaterThan(0.45)
    expect(mean).toBeLessThan(0.55)
  })
})
