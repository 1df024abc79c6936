import { expect, test } from 'vitest'
import { failure, OmiumError } from './index.ts'

test('an error survives the way over the log and back', () => {
  const thrown = new OmiumError('step_failed', 'Step fetch#1 threw: no route', {
    cause: new TypeError('no route'),
    data: { host: 'example' },
    retryable: false,
  })
  const back = OmiumError.fromFailure(failure.parse(JSON.parse(JSON.stringify(thrown.toFailure()))))
  expect(back).toMatchObject({
    code: 'step_failed',
    message: thrown.message,
    retryable: false,
    data: { host: 'example' },
    status: 500,
  })
  expect(back.cause).toMatchObject({ name: 'TypeError', message: 'no route' })
})
