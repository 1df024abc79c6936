import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ScriptedEngine, type ScriptedEngineOptions } from '../../test/scripted-engine.ts'
import { type AnyAgent, agent, type OmiumError, type Worker, worker } from '../index.ts'

const until = async (condition: () => boolean, what: string): Promise<void> => {
  const deadline = performance.now() + 15_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within 15 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

const logger = pino({ level: 'silent' })

describe('a worker', () => {
  let engine: ScriptedEngine
  let workers: Worker[]

  const startEngine = async (options?: ScriptedEngineOptions) => {
    engine = await ScriptedEngine.listen(options)
  }
  const startWorker = async (agents: AnyAgent[], options: { residentMs?: number; drainTimeoutMs?: number } = {}) => {
    const started = worker({ agents, url: engine.url, apiKey: 'om_test_key', logger, signals: false, ...options })
    workers.push(started)
    await started.start()
    return started
  }

  beforeEach(() => {
    workers = []
  })
  afterEach(async () => {
    await Promise.all(workers.map((one) => one.stop()))
    await engine.close()
  })

  it('runs many runs of ten steps over one connection', async () => {
    await startEngine()
    const ten = agent({
      id: 'ten',
      input: z.number(),
      async run(n, ctx) {
        let sum = n
        for (let i = 0; i < 10; i++) sum += await ctx.step('add', () => 1)
        return sum
      },
    })
    await startWorker([ten])
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, n) => engine.run(`run-${n}`, ten, n)))
    expect(outcomes).toEqual(Array.from({ length: 50 }, (_, n) => ({ status: 'completed', output: n + 10 })))
    await until(() => workers[0]?.runs === 0, 'the worker lets go of the runs')
  })

  it('fails a step whose result no engine would take, and nothing else', async () => {
    await startEngine()
    const huge = agent({
      id: 'huge',
      input: z.null(),
      run: async (_, ctx) =>
        ctx.step('huge', () => 'x'.repeat(30 * 1024 * 1024)).catch((error: OmiumError) => error.code),
    })
    const output = agent({ id: 'output', input: z.null(), run: async () => 'y'.repeat(30 * 1024 * 1024) })
    await startWorker([huge, output])
    expect(await engine.run('run', huge, null)).toEqual({ status: 'completed', output: 'payload_too_large' })
    expect(await engine.run('out', output, null)).toMatchObject({ error: { code: 'payload_too_large' } })
    expect(engine.connections).toBe(1)
  })

  it('does not begin an effect that was allowed before it stood still for longer than its lease', async () => {
    const blocker = new Int32Array(new SharedArrayBuffer(4))
    await startEngine({
      heartbeatIntervalMs: 30,
      leaseMs: 100,
      tap: (message) => {
        // the permission is in the socket when this process stops for a while
        if (message.type === 'step_started') queueMicrotask(() => setImmediate(() => Atomics.wait(blocker, 0, 0, 250)))
        return undefined
      },
    })
    const paid: number[] = []
    const payer = agent({
      id: 'payer',
      input: z.null(),
      async run(_, ctx) {
        await ctx.step('pay', () => void paid.push(ctx.attempt), {
          effect: { reconcile: async () => ({ status: 'completed', output: null }) },
        })
        return ctx.attempt
      },
    })
    await startWorker([payer])
    // of so short a lease a busy machine may cost it more than one attempt
    expect(await engine.run('run', payer, null)).toMatchObject({ status: 'completed' })
    const allowed = engine.messages.filter(({ type }) => type === 'step_started')
    expect(allowed.length).toBeGreaterThan(0)
    expect(paid).toEqual([])
  })

  it.each([
    ['null', null],
    ['undefined', undefined],
    ['a value without a text', Object.create(null)],
    ['an error with a strange name and message', Object.assign(new Error('x'), { name: 7, message: { a: 1 } })],
    ['a symbol', Symbol('s')],
  ])('carries %s that a step throws', async (_, thrown) => {
    await startEngine()
    const thrower = agent({
      id: 'thrower',
      input: z.null(),
      run: async (_input, ctx) =>
        ctx
          .step(
            'throw',
            () => {
              throw thrown
            },
            { retry: false },
          )
          .catch((error: OmiumError) => error.code),
    })
    await startWorker([thrower])
    expect(await engine.run('run', thrower, null)).toEqual({ status: 'completed', output: 'step_failed' })
  })

  it('refuses usage and policies that do not fit where they are given', async () => {
    await startEngine()
    const careless = agent({
      id: 'careless',
      input: z.null(),
      async run(_, ctx) {
        const usage = ctx.step('usage', ({ reportUsage }) => reportUsage({ costMicroCredits: 1n as unknown as number }))
        const policy = ctx.step('policy', () => 1, { retry: { maxAttempts: Number.POSITIVE_INFINITY } })
        return (await Promise.allSettled([usage, policy])).map((part) =>
          part.status === 'rejected' ? String(part.reason.message) : 'fine',
        )
      },
    })
    await startWorker([careless])
    const outcome = await engine.run('run', careless, null)
    expect(outcome).toMatchObject({
      output: [
        expect.stringContaining('reported usage that does not fit'),
        expect.stringContaining('the retry policy'),
      ],
    })
  })

  it('loses its connection, connects again and replays what was recorded', async () => {
    await startEngine()
    const calls: string[] = []
    const gate = Promise.withResolvers<void>()
    const cutting = agent({
      id: 'cutting',
      input: z.null(),
      async run(_, ctx) {
        await ctx.step('one', () => void calls.push('one'))
        await ctx.step('two', async ({ signal }) => {
          calls.push('two')
          if (calls.length > 2) return
          gate.resolve()
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
          calls.push('aborted')
        })
        return ctx.attempt
      },
    })
    await startWorker([cutting])
    const outcome = engine.run('run', cutting, null)
    await gate.promise
    engine.cut()
    expect(await outcome).toEqual({ status: 'completed', output: 2 })
    expect(calls).toEqual(['one', 'two', 'aborted', 'two'])
  })

  it('frees its slot while it waits, leaves after residentMs and comes back when something resolves', async () => {
    await startEngine()
    const waiter = agent({
      id: 'waiter',
      input: z.null(),
      async run(_, ctx) {
        const before = await ctx.step('before', () => ctx.attempt)
        const payload = await ctx.waitFor('go')
        return [before, payload, ctx.attempt]
      },
    })
    const host = await startWorker([waiter], { residentMs: 30 })
    const outcome = engine.run('run', waiter, null)
    await until(() => engine.messages.some(({ type }) => type === 'waiting'), 'the run waits')
    await until(() => host.runs === 0, 'the run is suspended')
    engine.executions.get('run')?.signal('go', 'now')
    expect(await outcome).toEqual({ status: 'completed', output: [1, 'now', 2] })
  })

  it('resumes a resident run in place', async () => {
    await startEngine()
    const waiter = agent({
      id: 'waiter',
      input: z.null(),
      run: async (_, ctx) => [await ctx.waitFor('go'), ctx.attempt],
    })
    await startWorker([waiter])
    const outcome = engine.run('run', waiter, null)
    await until(() => engine.messages.some(({ type }) => type === 'waiting'), 'the run waits')
    engine.executions.get('run')?.signal('go', 'now')
    expect(await outcome).toEqual({ status: 'completed', output: ['now', 1] })
  })

  it('drains: what runs is recorded, nothing new begins, and another worker goes on', async () => {
    await startEngine()
    const calls: string[] = []
    let finishStep = (): void => {}
    const long = agent({
      id: 'long',
      input: z.null(),
      async run(_, ctx) {
        await ctx.step('one', () => {
          calls.push(`one in attempt ${ctx.attempt}`)
          return new Promise<void>((resolve) => {
            finishStep = resolve
          })
        })
        await ctx.step('two', () => void calls.push(`two in attempt ${ctx.attempt}`))
        return 'done'
      },
    })
    const first = await startWorker([long])
    const outcome = engine.run('run', long, null)
    await until(() => calls.length === 1, 'the first step runs')
    await startWorker([long])
    const drained = first.drain()
    await until(() => engine.messages.some(({ type }) => type === 'drain'), 'the worker drains')
    finishStep()
    await drained
    expect(first.runs).toBe(0)
    expect(await outcome).toEqual({ status: 'completed', output: 'done' })
    expect(calls).toEqual(['one in attempt 1', 'two in attempt 2'])
  })

  it('drops a run whose attempt is refused as fenced and goes on with others', async () => {
    const fenced: string[] = []
    await startEngine({
      tap: (message, session) => {
        if (message.type !== 'step_completed' || message.executionId !== 'zombie') return false
        const { executionId, attempt, seq } = message
        const error = { code: 'attempt_fenced' as const, detail: 'a newer attempt owns it', retryable: false }
        session.socket.send(JSON.stringify([{ type: 'nack', executionId, attempt, seq, error }]))
        fenced.push(message.path)
        return true
      },
    })
    const two = agent({
      id: 'two',
      input: z.null(),
      async run(_, ctx) {
        await ctx.step('a', () => 1)
        await ctx.step('b', () => 1)
        return 'done'
      },
    })
    const host = await startWorker([two])
    void engine.run('zombie', two, null)
    await until(() => fenced.length > 0 && host.runs === 0, 'the zombie is dropped')
    expect(fenced).toEqual(['a#1'])
    expect(await engine.run('other', two, null)).toEqual({ status: 'completed', output: 'done' })
  })

  it('marks only steps that take long, and beats while they do', async () => {
    await startEngine({ heartbeatIntervalMs: 30 })
    const slow = agent({
      id: 'slow',
      input: z.null(),
      async run(_, ctx) {
        await ctx.step('quick', () => 1)
        const enough = () => engine.messages.some(({ type }) => type === 'step_started') && engine.heartbeats > 5
        await ctx.step('slow', () => until(enough, 'a marker and heartbeats'))
        return 'done'
      },
    })
    await startWorker([slow])
    await engine.run('run', slow, null)
    const marks = engine.messages.filter((message) => message.type === 'step_started')
    expect(marks.map((mark) => [mark.path, mark.intent])).toEqual([['slow#1', undefined]])
  })

  it('hands back a run of an agent that it does not have', async () => {
    await startEngine()
    const known = agent({ id: 'known', input: z.null(), run: async () => 1 })
    const unknown = agent({ id: 'unknown', input: z.null(), run: async () => 1 })
    await startWorker([known])
    await engine.run('run', unknown, null)
    expect(engine.messages.find(({ type }) => type === 'abandon')).toMatchObject({ executionId: 'run' })
  })

  it('leaves an engine that breaks the protocol and comes back', async () => {
    await startEngine()
    const ok = agent({ id: 'ok', input: z.null(), run: async () => 'ok' })
    await startWorker([ok])
    const hellos = () => engine.messages.filter(({ type }) => type === 'hello').length
    for (const session of (engine as unknown as { sessions: Set<{ socket: { send(text: string): void } }> }).sessions)
      session.socket.send('[{"type":"ack"}]')
    await until(() => hellos() === 2, 'the worker says hello again')
    expect(await engine.run('run', ok, null)).toEqual({ status: 'completed', output: 'ok' })
  })

  it('says at start that its key is refused', async () => {
    await startEngine()
    const refused = worker({ agents: [], url: engine.url, apiKey: 'om_other', logger, signals: false })
    workers.push(refused)
    await expect(refused.start()).rejects.toMatchObject({ code: 'unauthenticated' })
  })
})
