import { agent } from '@omium/sdk'
import { z } from 'zod'

/** Agents of the rewind spec: its worker runs them, and the replays of the command line load them again. */

/** idempotency keys of the mails that were sent */
export const mails: string[] = []
/** how often each run searched */
export const timesRun = new Map<string, number>()

export const helper = agent({
  id: 'rw-helper',
  input: z.string(),
  async run(topic, ctx) {
    if (topic === 'slow') await ctx.waitFor('never')
    return `help with ${topic}`
  },
})

export const letter = agent({
  id: 'rw-letter',
  input: z.object({ topic: z.string(), hold: z.boolean().default(false) }),
  async run({ topic, hold }, ctx) {
    const found = await ctx.step('search', () => {
      timesRun.set(ctx.executionId, (timesRun.get(ctx.executionId) ?? 0) + 1)
      return `facts on ${topic}`
    })
    const { content } = await ctx.llm.chat({ model: 'large', messages: [{ role: 'user', content: found }] })
    const go = hold ? ((await ctx.waitFor('go')) as string) : 'at once'
    if (go === 'ask') await ctx.call(helper, 'slow')
    const sent = await ctx.step(
      'mail',
      ({ idempotencyKey }) => {
        mails.push(idempotencyKey)
        return `${content}, ${go}`
      },
      { effect: true, input: content },
    )
    if (hold) await ctx.waitFor('end')
    return sent
  },
})

/** The next version: it asks for one thing more. */
export const curious = agent({
  id: 'rw-curious',
  input: z.object({ topic: z.string(), hold: z.boolean().default(false) }),
  async run({ topic }, ctx) {
    const found = await ctx.step('search', () => `other facts on ${topic}`)
    return ctx.step('look-further', () => found)
  },
})

export const moody = agent({
  id: 'rw-moody',
  input: z.string(),
  async run(what, ctx) {
    await ctx.step('before', () => 1)
    if (what === 'hang') await ctx.step('hang', () => new Promise(() => {}), { timeoutMs: 60_000 })
    const { content } = await ctx.llm.chat({ model: 'weak', messages: [{ role: 'user', content: what }] })
    if (content.startsWith('weak')) throw new Error('a weak answer')
    return content
  },
})
