import type { Failure } from '@omium/schemas'
import { expect, it } from 'vitest'
import { causalChain, rootCauseOf } from './root-cause.ts'

const childFailed = (childId: string, detail: string, data: object): Failure => ({
  code: 'child_failed',
  detail: `child execution ${childId} failed: ${detail}`,
  retryable: false,
  data: { childId, status: 'failed', ...data },
})

it('is the failure itself when nothing is behind it', () => {
  const error: Failure = { code: 'step_failed', detail: 'd', retryable: true, cause: { name: 'Oops', message: 'm' } }
  const chain = causalChain({ executionId: 'a', agentId: 'writer', path: 's#1', error })
  expect(chain).toEqual([
    { executionId: 'a', agentId: 'writer', path: 's#1', code: 'step_failed', detail: 'd\nm', name: 'Oops' },
  ])
})

it('is the first cause, not the last symptom, across runs and agents', () => {
  const deepest: Failure = { code: 'model_overloaded', detail: 'busy', retryable: true }
  const middle = childFailed('c', deepest.detail, { code: deepest.code })
  const top = childFailed('b', middle.detail, { code: middle.code, cause: middle.data })
  const chain = causalChain({ executionId: 'a', agentId: 'lead', error: top })
  expect(chain.map(({ executionId, code }) => [executionId, code])).toEqual([
    ['a', 'child_failed'],
    ['b', 'child_failed'],
    ['c', 'model_overloaded'],
  ])
  expect(rootCauseOf(chain)).toMatchObject({ executionId: 'c', code: 'model_overloaded', detail: 'busy' })
})

it('takes the child’s own word where it is known', () => {
  const told: Failure = {
    code: 'agent_threw',
    detail: 'writer threw',
    retryable: false,
    cause: { name: 'KeyError', message: 'x' },
  }
  const error = childFailed('b', told.detail, { code: told.code })
  const child = { childId: 'b', agentId: 'writer', path: 'write#1', error: told }
  expect(rootCauseOf(causalChain({ executionId: 'a', agentId: 'lead', error, child }))).toMatchObject({
    executionId: 'b',
    agentId: 'writer',
    name: 'KeyError',
  })
})

it('ends however deep and odd the data is', () => {
  let data: object = { childId: 'z' }
  for (let i = 0; i < 200; i++) data = { childId: `c${i}`, code: 'child_failed', cause: data }
  expect(causalChain({ executionId: 'a', agentId: 'x', error: childFailed('c', '', data) }).length).toBeLessThan(50)
  for (const odd of [null, 1, [1], { childId: 7 }, { cause: 'x' }]) {
    const error = { code: 'child_failed', detail: 'd', retryable: false, data: odd } as Failure
    expect(causalChain({ executionId: 'a', agentId: 'x', error })).toHaveLength(1)
  }
})
