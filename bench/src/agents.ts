import { setTimeout as delay } from 'node:timers/promises'
import { agent } from '@omium/sdk'
import { z } from 'zod'

export const stepsPerWorkflow = 10

/** Ten steps of no work: what is left is the platform's cost. */
export const tenSteps = agent({
  id: 'bench-ten-steps',
  input: z.object({ start: z.number() }),
  async run({ start }, ctx) {
    let value = start
    for (let step = 0; step < stepsPerWorkflow; step++)
      value = (await ctx.step(`step-${step}`, () => ({ value: value + 1 }))).value
    return value
  },
})

/** Steps that take a while, so that a kill meets runs in the middle. */
export const pacedSteps = agent({
  id: 'bench-paced-steps',
  input: z.object({ steps: z.number().int(), stepMs: z.number() }),
  async run({ steps, stepMs }, ctx) {
    for (let step = 0; step < steps; step++)
      await ctx.step('paced', async () => {
        await delay(stepMs)
        return step
      })
    return steps
  },
})
