import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { agent } from '@omium/sdk'
import { z } from 'zod'

/** A line of the work log: a step's function was entered. Written before the step does anything else. */
export interface WorkLine {
  executionId: string
  path: string
  attempt: number
}

/** Every step that workers entered, in the order of the file. A line cut short by a kill is left out. */
export const readWork = (file: string): WorkLine[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as WorkLine)
    : []

const wait = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))

/** Adds up what `steps` chores yield, some of them side by side, with a timer in the middle. */
export const choresAgent = (workLog: string) =>
  agent({
    id: 'chores',
    input: z.object({
      seed: z.number().int(),
      steps: z.number().int().min(1).max(50),
      stepMs: z.number().int().min(0),
    }),
    async run({ seed, steps, stepMs }, ctx) {
      const chore = (index: number) =>
        ctx.step(
          'chore',
          async () => {
            appendFileSync(
              workLog,
              `${JSON.stringify({ executionId: ctx.executionId, path: `chore:${index}`, attempt: ctx.attempt })}\n`,
            )
            await wait(stepMs)
            return seed * index
          },
          { key: String(index) },
        )
      let sum = 0
      for (let index = 0; index < steps; index += 2) {
        const pair = await Promise.all([chore(index), ...(index + 1 < steps ? [chore(index + 1)] : [])])
        sum += pair.reduce((a, b) => a + b, 0)
        if (index === 4) await ctx.sleep(50)
      }
      return { sum }
    },
  })

export const expectedSum = (seed: number, steps: number): number => (seed * steps * (steps - 1)) / 2
