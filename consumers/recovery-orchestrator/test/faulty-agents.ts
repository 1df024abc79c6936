import { type ErrorCode, OmiumError } from '@omium/schemas'
import { agent, type ChatRequest, type Context, tool } from '@omium/sdk'
import { z } from 'zod'

/** Agents that fail in every way that the orchestrator knows, and the model that they fail with. */

const counts = new Map<string, number>()
/** how often this was asked for before, in this process */
const before = (key: string): number => {
  const count = counts.get(key) ?? 0
  counts.set(key, count + 1)
  return count
}

export const effectsUndone: unknown[] = []

const textOf = ({ messages }: ChatRequest): string =>
  messages.map(({ content }) => (typeof content === 'string' ? content : '')).join('\n')

const answer = (content: string, request: ChatRequest) => ({
  message: { role: 'assistant' as const, content },
  finishReason: 'stop',
  model: request.model,
  inputTokens: 10,
  outputTokens: 5,
})

const fail = (code: ErrorCode, detail: string, data?: { retryAfterMs: number }): never => {
  throw new OmiumError(code, detail, data ? { data } : {})
}

/** What the prompt asks to go wrong goes wrong, unless the request is as its recovery has to make it. */
export const faultyModel = async (request: ChatRequest) => {
  const text = textOf(request)
  const prompt = /\[(\w+) ([\w.-]+)\]/.exec(text)
  const [, fault, run] = prompt ?? []
  const time = before(`${fault} ${run}`)
  switch (fault) {
    case 'overloaded_twice':
      return time < 2 ? fail('model_overloaded', `the provider of run ${run} is overloaded`) : answer('fine', request)
    case 'rate_limited':
      return time < 1 ? fail('model_rate_limited', 'slow down', { retryAfterMs: 400 }) : answer('fine', request)
    case 'model_a_down':
      return request.model === 'model-b' ? answer('from b', request) : fail('model_overloaded', 'model-a is down')
    case 'too_long':
      return request.messages.length > 3
        ? fail('model_context_length', 'the request is too long')
        : answer('short', request)
    case 'malformed':
      return text.includes('Answer again') ? answer('well formed', request) : fail('model_malformed', 'no JSON at all')
    case 'filtered':
      return fail('model_content_filter', 'the answer was filtered')
    case 'circles':
      if (text.includes('Do something else')) return answer('out of the circle', request)
      return {
        ...answer('', request),
        message: {
          role: 'assistant' as const,
          content: null,
          tool_calls: [
            { id: `call-${time}`, type: 'function' as const, function: { name: 'look', arguments: '{"at":"x"}' } },
          ],
        },
      }
    default:
      return answer('fine', request)
  }
}

const ask = (ctx: Context, fault: string, older = 0) =>
  ctx.llm.chat(
    {
      model: 'model-a',
      messages: [
        { role: 'system', content: 'You help.' },
        ...Array.from({ length: older }, (_, i) => ({
          role: 'user' as const,
          content: `older ${i} ${'word '.repeat(400)}`,
        })),
        { role: 'user', content: `[${fault} ${ctx.executionId}]` },
      ],
    },
    { retry: false },
  )

const input = z.object({ fault: z.string() })

/** one result, then a call that goes wrong as the input says */
export const caller = agent({
  id: 'faulty-caller',
  input,
  run: async ({ fault }, ctx) => {
    await ctx.step('first', () => 1)
    const { content } = await ask(ctx, fault, fault === 'too_long' ? 8 : 0)
    await ctx.step('last', () => 2)
    return content
  },
})

export const looper = agent({
  id: 'faulty-looper',
  input,
  run: async ({ fault }, ctx) => {
    await ctx.step('first', () => 1)
    const look = tool({
      name: 'look',
      schema: z.object({ at: z.string() }),
      execute: async () => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        return 'nothing new'
      },
    })
    const { content } = await ctx.llm.run({
      model: 'model-a',
      messages: [{ role: 'user', content: `[${fault} ${ctx.executionId}]` }],
      tools: [look],
      maxTurns: 200,
    })
    return content
  },
})

class ShopClosedError extends Error {
  override name = 'ShopClosedError'
}

export const stepper = agent({
  id: 'faulty-stepper',
  input,
  run: async ({ fault }, ctx) => {
    const seed = await ctx.step('first', () => before(`first ${ctx.executionId}`))
    const result = await ctx.step(
      'shop',
      async ({ signal }) => {
        const time = before(`shop ${ctx.executionId}`)
        if (fault === 'closed_twice' && time < 2) throw new ShopClosedError(`order ${time} found the shop closed`)
        if (fault === 'always_closed') throw new ShopClosedError('the shop is closed for ever')
        if (fault === 'needs_roll_back' && seed === 0) throw new ShopClosedError('the first result is no good')
        if (fault === 'hangs_once' && time === 0) {
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        }
        return time
      },
      { retry: false, ...(fault === 'slow_once' && { timeoutMs: 150 }) },
    )
    if (fault === 'bug') throw new TypeError("Cannot read properties of undefined (reading 'price')")
    if (fault === 'slow_once') await ctx.step('after', () => 1)
    return { seed, result }
  },
})

export const slow = agent({
  id: 'faulty-slow',
  input,
  run: async (_, ctx) =>
    ctx.step(
      'wait',
      async ({ signal }) => {
        if (before(`slow ${ctx.executionId}`) > 0) return 'quick'
        return new Promise<string>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
      { retry: false, timeoutMs: 200 },
    ),
})

export const payer = agent({
  id: 'faulty-payer',
  input,
  run: async (_, ctx) => {
    await ctx.step('pay', ({ idempotencyKey }) => ({ paid: idempotencyKey.length > 0 }), {
      effect: true,
      input: { amount: 7 },
    })
    await ctx.step(
      'ship',
      () => {
        throw new ShopClosedError('nothing to ship')
      },
      { retry: false },
    )
  },
})

/** makes more effects than a compensation is told of at once */
export const spender = agent({
  id: 'faulty-spender',
  input,
  run: async (_, ctx) => {
    for (let n = 1; n <= 105; n++) await ctx.step('spend', () => n, { effect: true, key: String(n) })
    await ctx.step(
      'ship',
      () => {
        throw new ShopClosedError('nothing to ship')
      },
      { retry: false },
    )
  },
})

export const undoer = agent({
  id: 'faulty-undoer',
  input: z.object({ effects: z.array(z.unknown()) }),
  run: async (given, ctx) => {
    await ctx.step('undo', () => effectsUndone.push(...given.effects))
    return given.effects.length
  },
})

/** calls another run, which fails the first time */
const kid = agent({
  id: 'faulty-kid',
  input: z.object({ family: z.string() }),
  run: async ({ family }, ctx) =>
    ctx.step(
      'think',
      () => {
        if (before(`kid ${family}`) === 0) throw new OmiumError('model_overloaded', 'the kid has no model')
        return 'grown up'
      },
      { retry: false },
    ),
})
const parent = agent({
  id: 'faulty-parent',
  input: z.object({ family: z.string() }),
  run: async ({ family }, ctx) => ctx.call(kid, { family }),
})
export const grandparent = agent({
  id: 'faulty-grandparent',
  input,
  run: async (_, ctx) => {
    await ctx.step('first', () => 1)
    return ctx.call(parent, { family: ctx.executionId })
  },
})

export const faultyAgents = [caller, looper, stepper, slow, payer, spender, undoer, kid, parent, grandparent]

/** Short waits, low limits; patient with attempts that say nothing, since a busy machine is slow. */
export const quickPolicy = {
  models: ['model-b'],
  loops: { repeats: 4, window: 12 },
  rules: [
    { when: { agents: ['faulty-payer', 'faulty-spender'] }, try: [{ strategy: 'compensate', agent: 'faulty-undoer' }] },
    {
      when: { classes: ['rate_limit', 'transient_provider'] },
      try: [
        { strategy: 'retry', attempts: 2, initialDelayMs: 20 },
        { strategy: 'other_model' },
        { strategy: 'ask_person' },
      ],
    },
    {
      when: { classes: ['timeout'] },
      try: [{ strategy: 'retry', attempts: 2, initialDelayMs: 20 }, { strategy: 'ask_person' }],
    },
    {
      when: { classes: ['tool_error'] },
      try: [
        { strategy: 'retry', attempts: 2, initialDelayMs: 20 },
        { strategy: 'roll_back', to: 'start' },
        { strategy: 'skip_with_default', output: 'closed' },
      ],
    },
    {
      when: { classes: ['context_length'] },
      try: [{ strategy: 'smaller_context', maxInputTokens: [2000, 50] }, { strategy: 'ask_person' }],
    },
  ],
}
