import { describe, expect, it } from 'vitest'
import type { RecordedStep, RunHistory } from './history.ts'
import { forkPoint, keptCount, previewOf } from './preview.ts'
import { busyMs } from './sums.ts'

const step = (path: string, more: Partial<RecordedStep> = {}) =>
  ({
    path,
    name: path.split('#')[0],
    kind: 'step',
    effect: false,
    usage: { costMicroCredits: 10 },
    startedAt: 0,
    durationMs: 10,
    ...more,
  }) as RecordedStep
const history = (...steps: RecordedStep[]) =>
  ({
    record: { id: 'run-1' },
    steps,
    open: [{ path: 'call#1', childId: 'kid' }, { path: 'sleep#1' }],
  }) as unknown as RunHistory

const run = history(
  step('plan#1', { kind: 'llm', usage: { costMicroCredits: 40, inputTokens: 7 } }),
  step('search#1', { startedAt: 20 }),
  step('mail#1', { startedAt: 25, effect: true }),
)

describe('the preview of a roll back', () => {
  it('says what stays, what runs again, which effects are made once more, and which children end', () => {
    expect(previewOf(run, keptCount(run, 'plan#1'), { cancelsChildren: true })).toMatchObject({
      toPath: 'plan#1',
      kept: { steps: 1, modelCalls: 1, costMicroCredits: 40, inputTokens: 7 },
      again: { steps: 2, modelCalls: 0, costMicroCredits: 20, durationMs: 15 },
      effects: [{ path: 'mail#1', name: 'mail' }],
      children: [{ path: 'call#1', executionId: 'kid' }],
    })
  })
  it('refuses a point that was never recorded', () => {
    expect(() => keptCount(run, 'nowhere#1')).toThrow(/no result at nowhere#1/)
    expect(keptCount(run, null)).toBe(0)
  })
})

describe('where a fork begins', () => {
  it('is as told, else after the last edited result, else after everything', () => {
    expect(forkPoint(run, null, ['search#1'])).toBeNull()
    expect(forkPoint(run, 'plan#1', [])).toBe('plan#1')
    expect(forkPoint(run, undefined, ['search#1', 'plan#1'])).toBe('search#1')
    expect(forkPoint(run, undefined, [])).toBe('mail#1')
    expect(forkPoint(history(), undefined, [])).toBeNull()
  })
})

describe('the time that steps took', () => {
  it('counts what ran side by side once, and no pauses', () => {
    const at = (startedAt: number, durationMs: number) => ({ startedAt, durationMs })
    expect(busyMs([])).toBe(0)
    expect(busyMs([at(10, 10), at(0, 5), at(12, 3), at(15, 10)])).toBe(20)
  })
})
