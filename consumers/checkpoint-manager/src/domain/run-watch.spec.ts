import type { CheckpointPolicy, ExecutionEvent, StepKind } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { RunWatch } from './run-watch.ts'

const requested = (checkpoints?: CheckpointPolicy): ExecutionEvent => ({
  type: 'ExecutionRequested',
  data: {
    executionId: 'run-1',
    agentId: 'a',
    input: { inline: 1 },
    requestHash: 'h',
    options: { priority: 0, ...(checkpoints && { checkpoints }) },
  },
})
const step = (path: string, kind: StepKind = 'step') => ({
  attempt: 1,
  path,
  name: path,
  kind,
  stepAttempt: 1,
  requestHash: 'r',
})
const completed = (path: string, kind?: StepKind): ExecutionEvent => ({
  type: 'StepCompleted',
  data: { ...step(path, kind), output: { inline: path }, startedAt: 0, durationMs: 1 },
})
const intent = (path: string): ExecutionEvent => ({
  type: 'StepStarted',
  data: { ...step(path), intent: { idempotencyKey: 'k', reservedMicroCredits: 0 } },
})

const watchAll = (events: readonly ExecutionEvent[], everyMs = 1) => {
  const watch = new RunWatch()
  return events.flatMap((event, i) => {
    const at = { aggregate: 'execution:t/run-1', tenant: 't', version: i + 1, time: i * everyMs, offset: i }
    return watch.wants({ type: event.type, aggregate: at.aggregate }) ? watch.add(event, at) : []
  })
}
const labels = (policy: CheckpointPolicy | undefined, ...events: ExecutionEvent[]) =>
  watchAll([requested(policy), ...events]).map(({ checkpointId, label }) => `${checkpointId} ${label}`)

describe('which checkpoints of a run are due', () => {
  it('none, unless the run asks for some', () => {
    expect(labels(undefined, completed('a#1'))).toEqual([])
    expect(labels({ every: 'never' }, completed('a#1'))).toEqual([])
  })
  it('one after each result', () => {
    expect(labels({ every: 'step' }, completed('a#1'), completed('a#1/b#1'))).toEqual([
      'run-00000002 after a#1',
      'run-00000003 after a#1/b#1',
    ])
  })
  it('one after each result of the outermost level', () => {
    expect(labels({ every: 'task' }, completed('a#1/b#1'), completed('a#1'))).toEqual(['run-00000003 after a#1'])
  })
  it('one before each effect', () => {
    expect(labels({ every: 'never', beforeEffects: true }, completed('a#1'), intent('pay#1'))).toEqual([
      'run-00000003 before pay#1',
    ])
  })
  it('one every so often, by the time of the events', () => {
    const events = [requested({ every: 'never', everyMs: 250 }), ...[1, 2, 3, 4, 5, 6].map((n) => completed(`s#${n}`))]
    expect(watchAll(events, 100).map(({ label }) => label)).toEqual(['after s#3', 'after s#6'])
  })
  it('holds the journal as it was then, and points to the one before', () => {
    const [first, second] = watchAll([requested({ every: 'step' }), completed('a#1'), completed('b#1')])
    expect(first?.content).toMatchObject({ kind: 'run', entries: [{ path: 'a#1' }] })
    expect(second?.content).toMatchObject({ kind: 'run', entries: [{ path: 'a#1' }, { path: 'b#1' }] })
    expect([first?.parentId, second?.parentId]).toEqual([null, 'run-00000002'])
  })
  it('every state that the run itself gives, whatever its options', () => {
    expect(labels(undefined, completed('draft#1', 'checkpoint'))).toEqual(['state-00000002 draft#1'])
  })
  it('forgets a run that ends, and knows how far back it would have to read', () => {
    const watch = new RunWatch()
    const at = (aggregate: string, offset: number) => ({ aggregate, tenant: 't', version: 1, time: 0, offset })
    watch.add(requested({ every: 'step' }), at('execution:t/one', 3))
    watch.add(requested({ every: 'step' }), at('execution:t/two', 7))
    expect(watch.firstOffset).toBe(3)
    watch.add({ type: 'ExecutionCancelled', data: { by: 'x' } }, at('execution:t/one', 9))
    expect(watch.firstOffset).toBe(7)
    expect(watch.wants({ type: 'TimerFired', aggregate: 'execution:t/one' })).toBe(false)
  })
})
