import { anyRequest, type JournalEntry } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { agent } from '../agent.ts'
import type { AnyAgent, Context } from '../context.ts'
import { testRun } from '../testing.ts'

const agentOf = <Output>(id: string, run: (ctx: Context, input: string) => Promise<Output>) =>
  agent({ id, input: z.string().nullable(), run: (input, ctx) => run(ctx, input ?? '') })
const recorded = async (of: AnyAgent, llm: string[]) => (await testRun(of, null as never, { llm })).journal

describe('entries that fit any request', () => {
  const offer = (path: string, value: string): JournalEntry => ({
    status: 'completed',
    path,
    kind: 'step',
    requestHash: anyRequest,
    value,
  })
  const summary = agentOf('summary', async (ctx, topic) => {
    const parts: string[] = []
    for (const name of topic.split(' ')) parts.push(await ctx.step(name, () => `live ${name}`, { input: name }))
    return parts
  })

  it('answer whatever is asked at their path, and need not be asked for', async () => {
    const journal = [offer('a#1', 'taken a'), offer('never#1', 'x'), offer('c#1', 'taken c')]
    const result = await testRun(summary, 'a b c', { journal })
    expect(result.output).toEqual(['taken a', 'live b', 'taken c'])
    expect(result.executions).toEqual({ 'b#1': 1 })
  })

  it('are released in one order, live and after a crash', async () => {
    const racing = agentOf('racing', async (ctx) => {
      const order: string[] = []
      const note = async (name: string) => {
        order.push(await ctx.step(name, () => `live ${name}`))
        await ctx.step(`after-${name}`, () => order.join())
      }
      await Promise.all([note('b'), note('a')])
      return order
    })
    const journal = [offer('a#1', 'taken a')]
    const undisturbed = await testRun(racing, null, { journal })
    expect(undisturbed.output).toEqual(['taken a', 'live b'])
    for (let crashAfter = 1; crashAfter <= 4; crashAfter++) {
      expect((await testRun(racing, null, { journal, crashAfter })).output).toEqual(undisturbed.output)
    }
  })
})

describe('a simulated run', () => {
  const paid = agentOf('paid', async (ctx, question) => {
    const found = await ctx.step('search', () => 'live', { input: question })
    const { content } = await ctx.llm.chat({ model: 'large', messages: [{ role: 'user', content: found }] })
    const { approved } = await ctx.approve('Send it?')
    await ctx.sleep('1h')
    const sent = await ctx.step('send', () => 'sent for real', { input: content, effect: true })
    return { content, approved, sent, at: typeof (await ctx.now()) }
  })
  const recordings = async () => {
    const { journal } = await testRun(paid, 'why?', { llm: ['because'], approvals: true })
    return journal.flatMap((entry) =>
      entry.status === 'completed'
        ? [
            {
              path: entry.path,
              name: entry.path.split('#')[0] ?? '',
              kind: entry.kind,
              requestHash: entry.requestHash,
              value: entry.value,
            },
          ]
        : [],
    )
  }

  it('makes its model calls and takes everything else from the recordings', async () => {
    const result = await testRun(paid, 'why?', { simulateFrom: await recordings(), llm: ['on second thoughts'] })
    expect(result.output).toEqual({
      content: 'on second thoughts',
      approved: true,
      sent: 'sent for real',
      at: 'number',
    })
    const kindAt = (path: string) => result.journal.find((entry) => entry.path === path)?.kind
    expect(['search#1', 'approve#1', 'sleep#1'].map(kindAt)).toEqual(['step', 'approval', 'timer'])
  })

  it('ends with a miss where it asks for what nobody recorded', async () => {
    const result = await testRun(paid, 'another question', { simulateFrom: await recordings(), llm: ['x'] })
    expect(result.error).toMatchObject({ code: 'replay_miss', data: { path: 'search#1' } })
    expect(result.executions).toEqual({})
  })

  it('gives the same after a crash', async () => {
    const simulateFrom = await recordings()
    const result = await testRun(paid, 'why?', { simulateFrom, llm: () => 'again', crashAfter: [1, 2, 3, 4, 5] })
    expect(result.output).toMatchObject({ content: 'again', approved: true, sent: 'sent for real' })
  })
})

describe('overrides', () => {
  it('change what is sent to the model, and nothing that is recorded about the request', async () => {
    const asking = agentOf('asking', async (ctx) => {
      const { content } = await ctx.llm.chat({ model: 'large', messages: [{ role: 'user', content: 'hi' }] })
      return content
    })
    const plain = await recorded(asking as AnyAgent, ['hello'])
    const asked: unknown[] = []
    const result = await testRun(asking, null, {
      overrides: { models: { '*': 'small' }, instructions: 'Be kind.' },
      llm: (request) => {
        asked.push(request)
        return 'hello'
      },
    })
    expect(asked).toMatchObject([{ model: 'small', messages: [{}, { role: 'system', content: 'Be kind.' }] }])
    expect(result.journal[0]?.requestHash).toBe(plain[0]?.requestHash)
  })
})
