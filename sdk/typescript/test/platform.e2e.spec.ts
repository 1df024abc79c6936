import { execFile } from 'node:child_process'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { eventually, type TenantOfPlatform, tenantOfPlatform } from '@omium/dev/testing'
import { agent, type Client, type OmiumError, omium, type Worker, worker } from '@omium/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'

const flaky = new Map<string, number>()

const child = agent({
  id: 'sdk-child',
  input: z.object({ n: z.number() }),
  run: async ({ n }, ctx) => ctx.step('double', () => n * 2),
})

const everything = agent({
  id: 'sdk-everything',
  input: z.object({ n: z.number() }),
  async run({ n }, ctx) {
    const parts = await Promise.all(['x', 'y', 'z'].map((key) => ctx.step('part', async () => `${key}${n}`, { key })))
    const twice = await ctx.call(child, { n }, { key: 'child' })
    const tries = await ctx.step(
      'flaky',
      ({ attempt }) => {
        flaky.set(ctx.executionId, attempt)
        if (attempt < 3) throw new Error(`try ${attempt}`)
        return attempt
      },
      { retry: { initialDelayMs: 10 } },
    )
    const before = await ctx.now()
    await ctx.sleep(1000)
    const slept = (await ctx.now()) - before >= 990
    const key = await ctx.step('effect', ({ idempotencyKey }) => idempotencyKey, { effect: true })
    const signal = await ctx.waitFor('go', { schema: z.object({ ok: z.boolean() }) })
    const { approved, comment } = await ctx.approve('Ship it?', { details: { n } })
    return { parts, twice, tries, slept, keyed: key.length > 10, signal, approved, comment, attempt: ctx.attempt }
  },
})

const failing = agent({
  id: 'sdk-failing',
  input: z.null(),
  async run(_, ctx) {
    await ctx.step(
      'bad',
      () => {
        throw new RangeError('out of it')
      },
      { retry: false },
    )
  },
})

const poor = agent({
  id: 'sdk-poor',
  input: z.null(),
  budget: { maxMicroCredits: 5 },
  run: async (_, ctx) =>
    ctx.llm
      .chat({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 100 })
      .catch((error: OmiumError) => error.code),
})

let platform: TenantOfPlatform
let host: Worker
let client: Client

beforeAll(async () => {
  platform = await tenantOfPlatform()
  const { url, apiKey } = platform
  const connection = { url, apiKey }
  client = omium(connection)
  const options = { ...connection, signals: false, residentMs: 100, logger: pino({ level: 'warn' }) }
  host = worker({ agents: [child, everything, failing, poor], ...options })
  await host.start()
  await eventually(async () => (await client.agents()).some((one) => one.agent === 'sdk-everything'), {
    timeoutMs: 30_000,
  })
})

afterAll(async () => {
  await host?.drain()
  await host?.stop()
})

test('a run uses everything that a context offers, and its events tell its whole life', async () => {
  const run = await client.start(everything, { n: 4 })
  const types: string[] = []
  const watching = (async () => {
    for await (const event of run.events()) types.push(event.type)
  })()
  await run.signal('go', { ok: true })
  await eventually(
    async () => (await run.steps()).some(({ path, status }) => path === 'approve#1' && status === 'pending'),
    {
      timeoutMs: 30_000,
    },
  )
  await run.approve('approve#1', 'approved', 'fine')
  expect(await run.result()).toEqual({
    parts: ['x4', 'y4', 'z4'],
    twice: 8,
    tries: 3,
    slept: true,
    keyed: true,
    signal: { ok: true },
    approved: true,
    comment: 'fine',
    attempt: expect.any(Number),
  })
  await watching
  expect(types[0]).toBe('ExecutionRequested')
  expect(types.at(-1)).toBe('ExecutionCompleted')
  expect(types.filter((type) => type === 'StepFailed')).toHaveLength(2)
  expect(flaky.get(run.id)).toBe(3)
})

test('a failure arrives with the class and message of user code, and the step it came from', async () => {
  const run = await client.start(failing, null)
  await expect(run.result()).rejects.toMatchObject({
    code: 'step_failed',
    cause: { name: 'RangeError', message: 'out of it' },
    data: { stepPath: 'bad#1' },
  })
})

test('a model call that could exceed the budget is not made', async () => {
  expect(await (await client.start(poor, null)).result()).toBe('budget_exceeded')
})

test('a run is cancelled while it waits, and one is forked with what it had recorded', async () => {
  const run = await client.start(everything, { n: 1 }, { id: 'to-cancel' })
  await eventually(async () => (await run.get()).status === 'suspended', { timeoutMs: 20_000 })
  const forked = await run.fork({ toPath: 'part:y#1', id: 'forked' })
  await run.cancel('no longer needed')
  await expect(run.result()).rejects.toMatchObject({ code: 'execution_cancelled' })
  await forked.signal('go', { ok: false })
  await eventually(async () => (await forked.steps()).some(({ path }) => path === 'approve#1'), { timeoutMs: 20_000 })
  await forked.approve('approve#1', 'rejected')
  expect(await forked.result()).toMatchObject({ parts: ['x1', 'y1', 'z1'], approved: false })
})

test('the same start twice is one run, another input is a conflict', async () => {
  const first = await client.start(child, { n: 1 }, { id: 'once' })
  const second = await client.start(child, { n: 1 }, { id: 'once' })
  expect([first.created, second.created, await second.result()]).toEqual([true, false, 2])
  await expect(client.start(child, { n: 2 }, { id: 'once' })).rejects.toMatchObject({ code: 'execution_conflict' })
})

test('the command line runs an agent', async () => {
  const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
  const env = { PATH: process.env['PATH'], OMIUM_URL: platform.url, OMIUM_API_KEY: platform.apiKey }
  const omiumCli = (...argv: string[]) => promisify(execFile)(process.execPath, [main, ...argv], { env, cwd: tmpdir() })
  const ran = await omiumCli('run', 'sdk-child', '--input', '{"n":21}', '--id', 'from-cli')
  expect(ran.stdout.trim()).toBe('42')
  const shown = JSON.parse((await omiumCli('executions', 'show', 'from-cli', '--json')).stdout) as { status: string }
  expect(shown.status).toBe('completed')
  expect((await omiumCli('executions', 'tail', 'from-cli')).stdout).toContain('ExecutionCompleted')
  await expect(omiumCli('run', 'sdk-child', '--input', '{"n":"x"}')).rejects.toMatchObject({ code: 4 })
})
