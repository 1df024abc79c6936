import { defaultStepRetry } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { agent, nonRetryable, OmiumError, tool } from './index.ts'
import { testRun } from './testing.ts'

const three = agent({
  id: 'three',
  input: z.object({ n: z.number() }),
  async run({ n }, ctx) {
    const a = await ctx.step('a', () => n + 1)
    const b = await ctx.step('b', async () => a * 2)
    const c = await ctx.step('c', () => ({ sum: a + b, at: new Date(0), gone: undefined }))
    return c
  },
})

describe('a run in the harness', () => {
  it('runs its steps and gives what JSON keeps of the output', async () => {
    const run = await testRun(three, { n: 1 })
    expect(run.output).toEqual({ sum: 6, at: '1970-01-01T00:00:00.000Z' })
    expect(run.attempts).toEqual([{ attempt: 1, executed: ['a#1', 'b#1', 'c#1'], replayed: [], ended: 'completed' }])
  })

  it('resumes after a crash without running a recorded step again', async () => {
    const run = await testRun(three, { n: 1 }, { crashAfter: ['a#1', 'b#1', 3] })
    expect(run.status).toBe('completed')
    expect(run.executions).toEqual({ 'a#1': 1, 'b#1': 1, 'c#1': 1 })
    expect(run.attempts.map((a) => a.ended)).toEqual(['crashed', 'crashed', 'crashed', 'completed'])
    expect(run.attempts[3]?.replayed).toEqual(['a#1', 'b#1', 'c#1'])
  })

  it('keeps a checkpoint once, as it was when it was taken, whatever crashes', async () => {
    const drafting = agent({
      id: 'drafting',
      input: z.null(),
      async run(_, ctx) {
        const draft = { lines: ['a'] }
        const kept = ctx.checkpoint('draft', draft)
        draft.lines.push('later')
        await kept
        await ctx.checkpoint('draft', draft)
        return ctx.step('last', () => draft)
      },
    })
    const run = await testRun(drafting, null, { crashAfter: ['draft#1', 'draft#2'] })
    expect(run.executions).toEqual({ 'draft#1': 1, 'draft#2': 1, 'last#1': 1 })
    expect(run.journal.filter(({ kind }) => kind === 'checkpoint')).toMatchObject([
      { path: 'draft#1', value: { lines: ['a'] } },
      { path: 'draft#2', value: { lines: ['a', 'later'] } },
    ])
  })

  it('skips sleeps forward and fires timeouts of waits', async () => {
    const sleeper = agent({
      id: 'sleeper',
      input: z.null(),
      async run(_, ctx) {
        const before = await ctx.now()
        await ctx.sleep('3d')
        const after = await ctx.now()
        const late = await ctx.waitFor('go', { timeoutMs: 1000 }).catch((error: OmiumError) => error.code)
        const go = await ctx.waitFor('stay', { schema: z.object({ ok: z.boolean() }) })
        const decision = await ctx.approve('Publish?', { timeoutMs: 5000 })
        return { slept: after - before, late, go, decision }
      },
    })
    const run = await testRun(sleeper, null, { signals: { stay: { ok: true } }, crashAfter: 'sleep#1' })
    expect(run.output).toEqual({
      slept: 3 * 86_400_000,
      late: 'wait_timeout',
      go: { ok: true },
      decision: { approved: false, by: 'timeout', timedOut: true },
    })
    expect(run.elapsedMs).toBe(3 * 86_400_000 + 6000)
  })

  it('says what it waits for when only someone outside could go on', async () => {
    const asks = agent({ id: 'asks', input: z.null(), run: async (_, ctx) => ctx.approve('Ship it?') })
    const run = await testRun(asks, null)
    expect(run.status).toBe('waiting')
    expect(run.waitingFor).toEqual(['approve#1'])
    expect((await testRun(asks, null, { approvals: { 'Ship it?': true } })).output).toEqual({
      approved: true,
      by: 'test',
    })
  })

  it('retries a step by its policy, and not an error that forbids it', async () => {
    let tries = 0
    const flaky = agent({
      id: 'flaky',
      input: z.null(),
      async run(_, ctx) {
        const ok = await ctx.step('flaky', ({ attempt }) => {
          tries += 1
          if (attempt < 3) throw new Error(`try ${attempt}`)
          return attempt
        })
        const never = await ctx
          .step('never', () => {
            tries += 1
            throw nonRetryable('closed')
          })
          .catch((error: OmiumError) => [error.code, error.retryable, (error.cause as Error).name])
        const coded = await ctx
          .step(
            'coded',
            () => {
              tries += 1
              throw Object.assign(new Error('x'), { code: 'E_CLOSED' })
            },
            { retry: { nonRetryable: ['E_CLOSED'] } },
          )
          .catch((error: OmiumError) => error.data)
        return { ok, never, coded }
      },
    })
    const run = await testRun(flaky, null)
    expect(run.output).toEqual({
      ok: 3,
      never: ['step_failed', false, 'NonRetryableError'],
      coded: { code: 'E_CLOSED' },
    })
    expect(tries).toBe(5)
  })

  it('runs children inline, mocks steps by name, and keeps their failures', async () => {
    const child = agent({
      id: 'child',
      input: z.object({ topic: z.string() }),
      async run({ topic }, ctx) {
        if (topic === 'bad') throw new TypeError('no such topic')
        return ctx.step('search', () => 'really searched')
      },
    })
    const parent = agent({
      id: 'parent',
      input: z.null(),
      async run(_, ctx) {
        const found = await Promise.all(['x', 'y'].map((topic) => ctx.call(child, { topic }, { key: topic })))
        const bad = await ctx.call(child, { topic: 'bad' }).catch((error: OmiumError) => [error.code, error.message])
        return { found, bad }
      },
    })
    const run = await testRun(parent, null, { mocks: { search: () => 'mocked' } })
    expect(run.output.found).toEqual(['mocked', 'mocked'])
    expect(run.output.bad).toEqual(['child_failed', expect.stringContaining('no such topic')])
  })

  it('runs a tool loop with every completion and tool call recorded, and resumes in its middle', async () => {
    let searched = 0
    const search = tool({
      name: 'search',
      schema: z.object({ query: z.string() }),
      execute: ({ query }) => {
        searched += 1
        return `results for ${query}`
      },
    })
    const asker = agent({
      id: 'asker',
      input: z.null(),
      budget: { maxMicroCredits: 1_000_000 },
      run: async (_, ctx) =>
        ctx.llm.run({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hi' }], tools: [search] }),
    })
    const call = (id: string, query: string) => ({
      id,
      type: 'function' as const,
      function: { name: 'search', arguments: JSON.stringify({ query }) },
    })
    const run = await testRun(asker, null, {
      crashAfter: 'tools#1/search#2',
      llm: [
        {
          message: { role: 'assistant', content: null, tool_calls: [call('1', 'a'), call('2', 'b')] },
          inputTokens: 10,
          outputTokens: 5,
        },
        { message: { role: 'assistant', content: 'done' }, inputTokens: 100, outputTokens: 50 },
      ],
    })
    expect(run.error).toBeUndefined()
    expect(run.output.content).toBe('done')
    expect(run.output.turns).toBe(2)
    expect(run.output.usage).toEqual({ model: 'gpt-4o-mini', inputTokens: 110, outputTokens: 55, costMicroCredits: 50 })
    expect(run.executions).toEqual({
      'tools#1/chat#1': 1,
      'tools#1/search#1': 1,
      'tools#1/search#2': 1,
      'tools#1/chat#2': 1,
    })
    expect(searched).toBe(2)
  })

  it('stops a model call that could exceed the budget before it is made', async () => {
    const poor = agent({
      id: 'poor',
      input: z.null(),
      budget: { maxMicroCredits: 10 },
      run: async (_, ctx) =>
        ctx.llm.chat({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 100 }),
    })
    let asked = 0
    const run = await testRun(poor, null, { llm: () => `${++asked}` })
    expect(run.error?.code).toBe('budget_exceeded')
    expect(asked).toBe(0)
  })

  it('shares what is left of a budget among the children that are called together', async () => {
    // the worst case of one of its calls is 3 micro-credits
    const kid = agent({
      id: 'kid',
      input: z.number(),
      run: async (calls, ctx) => {
        const request = { model: 'm', messages: [], max_tokens: 3 }
        for (let i = 0; i < calls; i++) await ctx.llm.chat(request)
        return calls
      },
    })
    const parent = agent({
      id: 'parent',
      input: z.null(),
      budget: { maxMicroCredits: 10 },
      run: async (_, ctx) => {
        await Promise.all([ctx.call(kid, 1), ctx.call(kid, 1)])
        const alone = await ctx.call(kid, 1)
        return [alone, await ctx.call(kid, 3).catch((error: OmiumError) => error.code)]
      },
    })
    const run = await testRun(parent, null, {
      prices: { version: 'spec', models: { m: { input: 0, output: 1 } } },
      llm: () => ({ message: { role: 'assistant', content: 'x' }, outputTokens: 2 }),
    })
    expect(run.output).toEqual([1, 'child_failed'])
  })

  it('reports a replay mismatch with the step, both requests and the fix', async () => {
    let attempt = 0
    const changed = agent({
      id: 'changed',
      input: z.null(),
      async run(_, ctx) {
        attempt += 1
        await ctx.step('first', () => 1)
        await ctx.step('plan', () => 2, { input: { version: attempt } })
        return 'done'
      },
    })
    const run = await testRun(changed, null, { crashAfter: 'plan#1' })
    expect(run.error?.code).toBe('replay_mismatch')
    expect(run.error?.message).toMatch(/Step "plan#1".*recorded is a step.*the code now asks.*"version":2.*fork/)
  })

  it('reports a step that came before recorded ones, without running it', async () => {
    let attempt = 0
    let inserted = 0
    const changed = agent({
      id: 'changed',
      input: z.null(),
      async run(_, ctx) {
        attempt += 1
        if (attempt > 1) await ctx.step('inserted', () => ++inserted)
        await ctx.step('plan', () => 2)
        return attempt > 2 ? 1 : ctx.step('last', () => 1)
      },
    })
    const run = await testRun(changed, null, { crashAfter: 'plan#1' })
    expect(run.error?.code).toBe('replay_mismatch')
    expect(run.error?.message).toContain('"inserted#1"')
    expect(inserted).toBe(0)
  })

  it('reports recorded steps that the code never asks for', async () => {
    let attempt = 0
    const shortened = agent({
      id: 'shortened',
      input: z.null(),
      async run(_, ctx) {
        attempt += 1
        return attempt > 1 ? 'early' : ctx.step('plan', () => 2)
      },
    })
    const run = await testRun(shortened, null, { crashAfter: 1 })
    expect(run.error?.message).toMatch(/"plan#1".*without asking for it/)
  })

  it('refuses calls of ctx inside a step function', async () => {
    const nested = agent({
      id: 'nested',
      input: z.null(),
      run: async (_, ctx) => ctx.step('outer', async () => ctx.step('inner', () => 1), { retry: false }),
    })
    const run = await testRun(nested, null)
    expect(run.error?.message).toContain('ctx.step was called inside step "outer"')
  })

  it('names the place in an output that JSON cannot hold', async () => {
    const bad = agent({
      id: 'bad',
      input: z.null(),
      run: async (_, ctx) => ctx.step('bad', () => ({ rows: [{ when: new Map() }] })),
    })
    const run = await testRun(bad, null)
    expect(run.error?.code).toBe('output_invalid')
    expect(run.error?.message).toContain('step "bad" cannot be recorded: at $.rows[0].when there is a Map')
  })

  it('never tries an effect again whose outcome is unknown, unless its reconciler says so', async () => {
    const seen: string[] = []
    let paying = Promise.withResolvers<void>()
    const payer = (reconcile?: 'retry' | 'completed') =>
      agent({
        id: 'payer',
        input: z.null(),
        async run(_, ctx) {
          const parts = await Promise.all([
            ctx.step(
              'pay',
              async ({ idempotencyKey, signal }) => {
                seen.push(idempotencyKey)
                paying.resolve()
                if (seen.length === 1)
                  await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
                return 'paid'
              },
              {
                effect: reconcile
                  ? {
                      reconcile: async () =>
                        reconcile === 'retry' ? { status: 'retry' } : { status: 'completed', output: 'was paid' },
                    }
                  : true,
              },
            ),
            ctx.step('other', () => paying.promise),
          ])
          return parts[0]
        },
      })
    const lost = await testRun(payer(), null, { crashAfter: 'other#1' })
    expect([lost.status, lost.waitingFor, seen]).toEqual(['waiting', ['pay#1'], ['test-run/pay#1']])
    seen.length = 0
    paying = Promise.withResolvers()
    const found = await testRun(payer('completed'), null, { crashAfter: 'other#1' })
    expect([found.output, seen.length]).toEqual(['was paid', 1])
    seen.length = 0
    paying = Promise.withResolvers()
    const again = await testRun(payer('retry'), null, { crashAfter: 'other#1' })
    expect([again.output, seen]).toEqual(['paid', ['test-run/pay#1', 'test-run/pay#1']])
  })

  it('runs the failed step anew in another attempt, and not the one whose failure the code has handled', async () => {
    const ran: string[] = []
    const flaky = agent({
      id: 'flaky',
      input: z.null(),
      defaults: { retry: { ...defaultStepRetry, maxAttempts: 3, initialDelayMs: 1 } },
      async run(_, ctx) {
        const fails = (name: string, until: number) =>
          ctx.step(
            name,
            () => {
              ran.push(name)
              if (ctx.attempt < until) throw new Error(`${name} failed`)
              return name
            },
            { retry: false },
          )
        const first = await fails('primary', 9).catch(() => fails('fallback', 0))
        return [first, await fails('last', 2)]
      },
    })
    const run = await testRun(flaky, null)
    expect([run.output, run.error]).toEqual([['fallback', 'last'], undefined])
    expect(ran).toEqual(['primary', 'fallback', 'last', 'last'])
  })

  it('fails a step that exceeds its timeout and aborts its signal', async () => {
    const slow = agent({
      id: 'slow',
      input: z.null(),
      run: async (_, ctx) =>
        ctx.step(
          'slow',
          ({ signal }) => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
          {
            timeoutMs: 10,
            retry: false,
          },
        ),
    })
    expect((await testRun(slow, null)).error?.code).toBe('step_timeout')
  })

  it('asks the reconciler of an effect that timed out, and fails as unknown without one', async () => {
    let tries = 0
    const hanging = (effect: true | { reconcile: () => Promise<{ status: 'retry' }> }) =>
      agent({
        id: 'hanging',
        input: z.null(),
        run: async (_, ctx) =>
          ctx.step('pay', () => (++tries === 1 ? new Promise<string>(() => {}) : 'paid'), { timeoutMs: 10, effect }),
      })
    const known = await testRun(hanging({ reconcile: async () => ({ status: 'retry' }) }), null)
    expect([known.output, tries]).toEqual(['paid', 2])
    tries = 0
    const unknown = await testRun(hanging(true), null)
    expect([unknown.error?.code, tries]).toEqual(['step_outcome_unknown', 1])
  })

  it('refuses an input that does not fit', async () => {
    const run = await testRun(three, { n: 'one' } as never)
    expect([run.error?.code, run.error?.message]).toEqual(['input_invalid', expect.stringContaining('n: ')])
    expect(run.error).toBeInstanceOf(OmiumError)
  })
})
