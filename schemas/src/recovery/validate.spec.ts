import { expect, it } from 'vitest'
import { defaultRecoveryPolicy } from './default-policy.ts'
import { validateRecoveryPolicy } from './validate.ts'

it('finds nothing wrong with the built-in policy, nor with an empty one', () => {
  const { errors } = validateRecoveryPolicy(defaultRecoveryPolicy)
  expect(errors).toEqual([])
  expect(validateRecoveryPolicy({})).toMatchObject({ policy: { prefer: 'order', rules: [] }, errors: [], warnings: [] })
})

it('names every place that is wrong at once', () => {
  const { policy, errors } = validateRecoveryPolicy({
    modells: [],
    limits: { attemptsPerIncident: -1 },
    rules: [
      { when: { classes: ['bad weather'] }, try: [{ strategy: 'pray' }, { strategy: 'retry', attempts: 0, wait: 1 }] },
    ],
  })
  expect(policy).toBeUndefined()
  expect(errors.map(({ path }) => path).sort()).toEqual([
    '/limits/attemptsPerIncident',
    '/modells',
    '/rules/0/try/0/strategy',
    '/rules/0/try/1/attempts',
    '/rules/0/try/1/wait',
    '/rules/0/when/classes/0',
  ])
})

it('refuses what can never happen, and warns of what is never reached', () => {
  expect(validateRecoveryPolicy({ loops: { repeats: 9, window: 3 } }).errors).toMatchObject([
    { path: '/loops/repeats' },
  ])
  const { warnings, policy } = validateRecoveryPolicy({
    rules: [
      { try: [{ strategy: 'ask_person' }, { strategy: 'other_model' }] },
      { when: { classes: ['timeout'] }, try: [{ strategy: 'retry' }, { strategy: 'retry' }] },
    ],
  })
  expect(policy).toBeDefined()
  expect(warnings.map(({ path }) => path)).toEqual(['/rules/0/try/1', '/rules/0/try/1', '/rules/1', '/rules/1/try/1'])
})
