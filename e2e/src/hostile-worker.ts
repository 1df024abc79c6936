import { appendFileSync } from 'node:fs'
import { agent, worker } from '@omium/sdk'
import { z } from 'zod'

/** A worker process for agents that misbehave; says in OMIUM_WORK_LOG which steps it entered. */
const workLog = process.env['OMIUM_WORK_LOG']
if (!workLog) throw new Error('OMIUM_WORK_LOG names the file of what was done')
const enter = (what: string): void => appendFileSync(workLog, `${what}\n`)
const wait = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))

const poison = agent({
  id: 'poison',
  input: z.null(),
  run: async (_, ctx) => ctx.step('exit', () => process.exit(7)),
})
const effect = agent({
  id: 'effect',
  input: z.null(),
  async run(_, ctx) {
    await ctx.step('before', () => enter('before'))
    const paid = await ctx.step(
      'pay',
      async ({ idempotencyKey, signal }) => {
        enter(`pay ${idempotencyKey}`)
        // longer than whoever watches takes to let this process stand still
        await wait(5000)
        enter(signal.aborted ? 'aborted' : 'not aborted')
        return 'paid'
      },
      {
        effect: {
          reconcile: async (key) => {
            enter(`reconcile ${key}`)
            return { status: 'completed', output: 'was paid' }
          },
        },
      },
    )
    return { paid, attempt: ctx.attempt }
  },
})
const patient = agent({
  id: 'patient',
  input: z.number(),
  async run(n, ctx) {
    for (let i = 0; i < 5; i++) {
      await ctx.step('one', async () => {
        await wait(20)
        return i
      })
    }
    return n
  },
})

await worker({ agents: [poison, effect, patient] }).start()
process.stdout.write('worker started\n')
