import { testRun } from '@omium/sdk/testing'
import { expect, it } from 'vitest'
import { greeter } from './agents.ts'

it('greets everybody once, crash or not', async () => {
  const run = await testRun(greeter, { names: ['Ada', 'Grace'] }, { crashAfter: 1 })
  expect(run.output).toBe('Hello, Ada! Hello, Grace!')
  expect(run.executions).toEqual({ 'greet:Ada#1': 1, 'greet:Grace#1': 1 })
})
