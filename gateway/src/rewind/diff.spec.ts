import type { JsonValue } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { alignRuns, type ComparedRun, diffRuns } from './diff.ts'
import type { RecordedStep } from './history.ts'

const step = (path: string, more: Partial<RecordedStep> = {}): RecordedStep => ({
  path,
  name: path.split('#')[0] ?? path,
  kind: 'step',
  requestHash: `request-of-${path}`,
  effect: false,
  input: undefined,
  digest: `result-of-${path}`,
  failed: false,
  seeded: false,
  usage: { costMicroCredits: 10 },
  startedAt: 0,
  durationMs: 5,
  own: null,
  taken: null,
  ...more,
})
const run = (id: string, steps: RecordedStep[], more: Partial<ComparedRun> = {}): ComparedRun => ({
  id,
  agent: 'writer',
  status: 'completed',
  inputDigest: 'same',
  outcomeDigest: 'done',
  steps,
  ...more,
})
const diff = (a: ComparedRun, b: ComparedRun, inputA?: JsonValue, inputB?: JsonValue) =>
  diffRuns(a, b, alignRuns(a, b), { input: inputA }, { input: inputB })
const llm = (path: string, more: Partial<RecordedStep> = {}) =>
  step(path, { kind: 'llm', name: 'chat', usage: { model: 'large', costMicroCredits: 100 }, ...more })

describe('the difference between two runs', () => {
  it('is none when steps, requests, results and ends are the same', () => {
    const steps = [step('a#1'), llm('chat#1')]
    expect(diff(run('a', steps), run('b', steps))).toMatchObject({ identical: true, divergence: null })
  })

  it('is aligned by path, not by order', () => {
    const [x, y] = [step('x#1'), step('y#1')]
    expect(diff(run('a', [x, y]), run('b', [y, x])).identical).toBe(true)
  })

  it('shows every step of either, and what follows from the first difference', () => {
    const a = run('a', [step('plan#1'), step('search#1'), step('write#1')])
    const other = step('search#1', { digest: 'other', usage: { costMicroCredits: 30 }, startedAt: 10 })
    const b = run('b', [step('plan#1'), other, step('check#1', { startedAt: 20 }), step('write#1', { startedAt: 30 })])
    const found = diff(a, b)
    expect(found.steps.map(({ path, change }) => [path, change])).toEqual([
      ['plan#1', 'same'],
      ['search#1', 'result'],
      ['check#1', 'only_b'],
      ['write#1', 'same'],
    ])
    expect(found.divergence).toMatchObject({ path: 'search#1', cause: 'tool' })
    expect(found.downstream).toMatchObject({
      a: { steps: 2, costMicroCredits: 20 },
      b: { steps: 3, costMicroCredits: 50 },
      costDeltaMicroCredits: 30,
      durationDeltaMs: 10,
    })
  })

  it('can be in the end alone', () => {
    const steps = [step('a#1')]
    expect(diff(run('a', steps), run('b', steps, { outcomeDigest: 'else' }))).toMatchObject({
      identical: false,
      sameOutcome: false,
      divergence: { cause: 'code' },
    })
    expect(diff(run('a', steps), run('b', steps, { status: 'cancelled' })).divergence?.cause).toBe('state')
  })
})

describe('the cause of a difference', () => {
  const chat = (model: string, system: string, user: string, more: Record<string, JsonValue> = {}): JsonValue => ({
    model,
    messages: [
      { role: 'system', content: system },
      { role: 'user', content: user },
    ],
    ...more,
  })
  const asked = (a: JsonValue, b: JsonValue, more: Partial<ComparedRun> = {}) =>
    diff(run('a', [llm('chat#1')]), run('b', [llm('chat#1', { requestHash: 'other' })], more), a, b).divergence?.cause

  it('of another request to a model', () => {
    const plain = chat('large', 'Be brief.', 'Why?')
    expect(asked(plain, chat('small', 'Be brief.', 'Why?'))).toBe('model')
    expect(asked(plain, chat('large', 'Be long.', 'Why?'))).toBe('prompt')
    expect(asked(plain, chat('large', 'Be brief.', 'Why?', { temperature: 1 }))).toBe('prompt')
    expect(asked(plain, chat('large', 'Be brief.', 'How?'))).toBe('prompt')
    expect(asked(plain, chat('large', 'Be brief.', 'How?'), { inputDigest: 'other' })).toBe('input')
  })

  it('of another request that a framework made, whose path is its hash', () => {
    const a = run('a', [llm('chat:aaaa#1', { name: 'gpt', requestHash: '1' })])
    const b = run('b', [llm('chat:bbbb#1', { name: 'gpt', requestHash: '2' })])
    const framework = (model: string) => ({ path: 'chat/completions', body: chat(model, 's', 'u') })
    const found = diff(a, b, framework('large'), framework('small'))
    expect(found.divergence).toMatchObject({ cause: 'model', a: { path: 'chat:aaaa#1' }, b: { path: 'chat:bbbb#1' } })
    expect(found.steps).toHaveLength(1)
  })

  it('of another answer of a model', () => {
    const answered = (model: string) => llm('chat#1', { digest: model, usage: { model } })
    expect(diff(run('a', [answered('large')]), run('b', [answered('small')])).divergence).toMatchObject({
      cause: 'model',
      detail: 'large answered in A, small in B',
    })
  })

  it('of another decision from outside, another tool result, other code', () => {
    const of = (a: RecordedStep[], b: RecordedStep[], more: Partial<ComparedRun> = {}) =>
      diff(run('a', a), run('b', b, more)).divergence?.cause
    const approval = (digest: string) => step('approve#1', { kind: 'approval', digest })
    expect(of([approval('yes')], [approval('no')])).toBe('state')
    expect(of([step('search#1')], [step('search#1', { failed: true, digest: 'x' })])).toBe('tool')
    expect(of([step('a#1')], [step('b#1')])).toBe('code')
    expect(of([step('a#1')], [step('a#1', { requestHash: 'x' })])).toBe('code')
    expect(of([step('a#1')], [step('b#1')], { agent: 'writer-2' })).toBe('agent')
  })
})
