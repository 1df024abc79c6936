import type { FailureFacts } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { facts, now, policyOf } from '../../test/given.ts'
import { makePlan, matches, type Observed, type Situation } from './plan.ts'

const situation = (more: Partial<Situation> = {}, policy: object = {}): Situation => ({
  incidentId: 'run-1.1',
  facts: facts(),
  class: 'transient_provider',
  classifiedBy: 'code model_overloaded',
  fingerprint: 'f'.repeat(16),
  tried: [],
  costMicroCredits: 0,
  policy: { ref: { name: 'mine', version: 2 }, policy: policyOf(policy) },
  observed: () => null,
  nowMs: now,
  ...more,
})
const rule = (...items: object[]) => ({ rules: [{ try: items }] })
const times = (
  count: number,
  strategy: Situation['tried'][number]['strategy'],
  failureClass = 'transient_provider' as const,
) => Array.from({ length: count }, () => ({ strategy, class: failureClass }))

describe('retry', () => {
  it('waits longer each time, up to a limit, with jitter that repeats', () => {
    const policy = rule({ strategy: 'retry', attempts: 5, initialDelayMs: 1000, factor: 2, maxDelayMs: 5000 })
    const delays = [0, 1, 2, 3, 4].map((used) => {
      const { action } = makePlan(situation({ tried: times(used, 'retry') }, policy))
      return action.type === 'retry' ? action.delayMs : Number.NaN
    })
    for (const [i, base] of [1000, 2000, 4000, 5000, 5000].entries()) {
      expect(delays[i]).toBeGreaterThanOrEqual(base * 0.8)
      expect(delays[i]).toBeLessThanOrEqual(base * 1.2)
    }
    expect(makePlan(situation({}, policy))).toEqual(makePlan(situation({}, policy)))
  })

  it('waits as long as the provider asks for', () => {
    const error = {
      code: 'model_rate_limited' as const,
      detail: 'slow',
      retryable: true,
      data: { retryAfterMs: 90_000 },
    }
    const plan = makePlan(situation({ facts: facts({ error }) }, rule({ strategy: 'retry' })))
    expect(plan.action).toMatchObject({ type: 'retry', delayMs: 90_000 })
    expect(plan.why).toContain('as long as the provider asked for')
  })

  it('of a failed child goes back to before the child', () => {
    const step = { path: 'ask#1', name: 'expert', kind: 'child' as const }
    const plan = makePlan(situation({ facts: facts({ step }) }, rule({ strategy: 'retry' })))
    expect(plan.action).toMatchObject({ type: 'roll_back', toPath: 'read#1' })
  })
})

describe('the ladder of a rule', () => {
  const ladder = {
    models: ['model-b', 'model-c'],
    ...rule(
      { strategy: 'retry', attempts: 2 },
      { strategy: 'other_model' },
      { strategy: 'smaller_context', maxInputTokens: [4000] },
      { strategy: 'repair_prompt', attempts: 1, instructions: 'Mind this: {error}' },
      { strategy: 'reassign' },
      { strategy: 'roll_back', attempts: 2 },
      { strategy: 'skip_with_default', output: { none: true } },
      { strategy: 'ask_person', timeoutMs: 1000 },
    ),
  }
  it('is climbed rung by rung, and says of each why not another', () => {
    const tried: { strategy: Situation['tried'][number]['strategy']; class: 'transient_provider' }[] = []
    const actions: unknown[] = []
    for (let i = 0; i < 10; i++) {
      const plan = makePlan(situation({ tried: [...tried] }, { ...ladder, limits: { attemptsPerIncident: 100 } }))
      tried.push({ strategy: plan.strategy, class: 'transient_provider' })
      actions.push(plan.action)
    }
    expect(actions).toMatchObject([
      { type: 'retry', avoidWorker: false },
      { type: 'retry', avoidWorker: false },
      { type: 'retry', overrides: { models: { '*': 'model-b' } } },
      { type: 'retry', overrides: { models: { '*': 'model-c' } } },
      { type: 'retry', overrides: { maxInputTokens: 4000 } },
      { type: 'retry', overrides: { instructions: 'Mind this: model_overloaded: the provider is overloaded' } },
      { type: 'retry', avoidWorker: true },
      { type: 'roll_back', toPath: 'read#1' },
      { type: 'roll_back', toPath: 'plan#1' },
      { type: 'settle', path: 'draft#1', output: { inline: { none: true } } },
    ])
    const last = makePlan(situation({ tried }, { ...ladder, limits: { attemptsPerIncident: 100 } }))
    expect(last).toMatchObject({ strategy: 'ask_person', action: { type: 'hold', untilMs: now + 1000 } })
    expect(last.alternatives).toHaveLength(7)
    expect(last.alternatives[0]).toEqual({ strategy: 'retry', why: 'it was tried 2 of 2 times in this incident' })
  })

  it('counts each class of failure by itself', () => {
    const tried = times(2, 'retry')
    expect(makePlan(situation({ tried, class: 'timeout' }, ladder)).strategy).toBe('retry')
    expect(makePlan(situation({ tried }, ladder)).strategy).toBe('other_model')
  })

  it('asks a person when nothing is left', () => {
    const plan = makePlan(situation({ tried: times(3, 'retry') }, rule({ strategy: 'retry', attempts: 3 })))
    expect(plan).toMatchObject({ strategy: 'ask_person', action: { type: 'hold' } })
    expect(plan.why).toContain('nothing that rule 1 of policy mine v2 names is left')
  })

  it('skips what makes no sense, and says so', () => {
    const { step: _, ...between } = facts()
    const noStep = makePlan(
      situation(
        { facts: between },
        rule(
          { strategy: 'skip_with_default', output: 1 },
          { strategy: 'compensate', agent: 'undo' },
          { strategy: 'give_up' },
        ),
      ),
    )
    expect(noStep.strategy).toBe('give_up')
    expect(noStep.alternatives.map(({ why }) => why)).toEqual([
      'the code failed between steps: there is no step to give a value to',
      'the run has made no effect that could be undone',
    ])
    expect(
      makePlan(situation({}, rule({ strategy: 'other_model' }, { strategy: 'give_up' }))).alternatives[0]?.why,
    ).toBe('the policy names no fallback models')
  })
})

describe('limits', () => {
  const costly = rule({ strategy: 'retry', attempts: 50 }, { strategy: 'skip_with_default', output: null })
  const effects = [{ path: 'pay#1', name: 'pay', idempotencyKey: 'k' }]
  const ofIncident: [string, object, object][] = [
    ['attempts', { tried: times(4, 'retry') }, { attemptsPerIncident: 4 }],
    ['cost', { costMicroCredits: 500 }, { costMicroCreditsPerIncident: 500 }],
  ]
  const ofRun: [string, Partial<FailureFacts>, object][] = [
    ['recoveries', { recoveries: 9 }, { attemptsPerRun: 9 }],
    ['cost', { costMicroCredits: 900 }, { costMicroCreditsPerRun: 900 }],
  ]
  it.each(ofIncident)('on the %s of the incident leave what makes no call again', (_, more, limits) => {
    const plan = makePlan(situation(more, { ...costly, limits }))
    expect(plan.strategy).toBe('skip_with_default')
    expect(plan.alternatives[0]?.strategy).toBe('retry')
  })
  it.each(ofRun)('on the %s of the run leave nothing by which it goes on', (_, more, limits) => {
    const plan = makePlan(situation({ facts: facts(more) }, { ...costly, limits }))
    expect(plan.strategy).toBe('ask_person')
    expect(plan.alternatives.map(({ strategy }) => strategy)).toEqual(['retry', 'skip_with_default'])
  })
  it('leave undoing when the run is given up after it, not when it goes on', () => {
    const undo = (afterwards: string) => rule({ strategy: 'compensate', agent: 'undo', afterwards })
    const limits = { attemptsPerRun: 0 }
    const strategy = (afterwards: string) =>
      makePlan(situation({ facts: facts({ effects }) }, { ...undo(afterwards), limits })).strategy
    expect([strategy('give_up'), strategy('roll_back')]).toEqual(['compensate', 'ask_person'])
  })
  it('keep from undoing what the run would not wait for', () => {
    const late = facts({ effects, giveUpAt: now + 60_000 })
    const plan = makePlan(
      situation({ facts: late }, rule({ strategy: 'compensate', agent: 'undo', timeoutMs: 60_001 })),
    )
    expect(plan.strategy).toBe('ask_person')
  })
})

describe('rules', () => {
  const rules = [
    { when: { agents: ['billing-*'] }, try: [{ strategy: 'give_up' }] },
    { when: { steps: ['dr?ft'] }, try: [{ strategy: 'give_up' }] },
    { when: { codes: ['model_overloaded'], steps: ['dra*'] }, try: [{ strategy: 'reassign' }] },
  ]
  it('fit when everything that they name fits; patterns are no regular expressions', () => {
    expect(makePlan(situation({}, { rules }))).toMatchObject({ strategy: 'reassign' })
    expect(makePlan(situation({ facts: facts({ agentId: 'billing-1' }) }, { rules })).strategy).toBe('give_up')
  })
  it('fit a fingerprint', () => {
    const byPrint = [{ when: { fingerprints: ['f'.repeat(16)] }, try: [{ strategy: 'give_up' }] }]
    expect(makePlan(situation({}, { rules: byPrint })).strategy).toBe('give_up')
  })
  it('are the built-in ones for what the policy says nothing about', () => {
    const plan = makePlan(situation({}, { rules: rules.slice(0, 1) }))
    expect(plan.strategy).toBe('retry')
    expect(plan.why).toContain('rule 1 of the built-in policy')
  })
})

describe('prefer: best_observed', () => {
  const policy = {
    prefer: 'best_observed',
    models: ['model-b'],
    ...rule({ strategy: 'retry' }, { strategy: 'other_model' }, { strategy: 'reassign' }, { strategy: 'ask_person' }),
  }
  const seen = (known: Record<string, Observed>) => ({ observed: (strategy: string) => known[strategy] ?? null })
  it('takes what has helped most often, and says with which figures', () => {
    const plan = makePlan(
      situation(
        seen({
          retry: { tries: 20, successes: 2, likeness: 'class' },
          other_model: { tries: 10, successes: 9, likeness: 'fingerprint' },
        }),
        policy,
      ),
    )
    expect(plan.strategy).toBe('other_model')
    expect(plan.why).toContain('preferred because it has helped in 9 of 10 cases of this very failure')
    expect(plan.alternatives[0]?.why).toContain(
      'it has helped in 2 of 20 cases of failures of class transient_provider',
    )
  })
  it('keeps the written order while too little is known, and never puts a person first', () => {
    const few = seen({
      other_model: { tries: 3, successes: 3, likeness: 'class' },
      ask_person: { tries: 100, successes: 100, likeness: 'class' },
    })
    expect(makePlan(situation(few, policy)).strategy).toBe('retry')
  })
})

describe('a pattern', () => {
  it.each([
    ['billing-*', 'billing-eu', true],
    ['*', '', true],
    ['a*', 'ba', false],
    ['*a', 'ba', true],
    ['a*a', 'a', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['a.c', 'abc', false],
    ['**', 'x', true],
    ['draft', 'draft', true],
    ['draft', 'drafts', false],
  ])('%s and %s', (pattern, text, fits) => {
    expect(matches(pattern, text)).toBe(fits)
  })
  it('is never slow, whatever a tenant writes', () => {
    expect(matches(`${'*a'.repeat(90)}*b`, 'a'.repeat(200))).toBe(false)
  })
})
