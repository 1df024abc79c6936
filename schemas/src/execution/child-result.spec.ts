import { expect, it } from 'vitest'
import { childResult } from './recorded-journal.ts'

it('a failed child passes on what its own child said, so that the first cause is known at every level', () => {
  const first = childResult({
    childId: 'kid',
    outcome: { status: 'failed', error: { code: 'model_overloaded', detail: 'busy', retryable: true } },
  })
  expect(first).toMatchObject({ error: { data: { childId: 'kid', code: 'model_overloaded' } } })
  if (first.type !== 'error') throw new Error('it failed')
  expect(first.error.data).not.toHaveProperty('cause')
  const second = childResult({ childId: 'parent', outcome: { status: 'failed', error: first.error } })
  expect(second).toMatchObject({
    error: { data: { childId: 'parent', code: 'child_failed', cause: { childId: 'kid', code: 'model_overloaded' } } },
  })
})
