import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePython, type RunningStack } from '@omium/dev'
import { eventually, type ServiceHandle, spawnService, testPlatform } from '@omium/dev/testing'
import { type ModelServer, modelName, startModelServer } from '@omium/model-server'
import type { StepView } from '@omium/schemas'
import { agent, type Client, omium, type Worker, worker } from '@omium/sdk'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'

/** Agents of both SDKs on the whole platform, their model calls through the stack's own model gateway. */
const canary = 'canary-of-the-provider-key'
let folder: string
let model: ModelServer
let stack: RunningStack
let client: Client
let host: Worker
let python: ServiceHandle

const asking = agent({
  id: 'asking',
  input: z.object({ question: z.string() }),
  run: async ({ question }, ctx) => {
    const messages = [{ role: 'user' as const, content: question }]
    const { content } = await ctx.llm.chat({ model: modelName, messages }, { stream: true })
    const refused = await ctx.llm
      .chat({ model: 'no-such-model', messages })
      .catch((error: { code?: string }) => error.code)
    return { content, refused }
  },
})

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'omium-models-'))
  model = await startModelServer({ latencyMs: 5 })
  const file = join(folder, 'models.json')
  const settings = {
    version: 1,
    providers: {
      scripted: { dialect: 'openai', baseUrl: model.baseUrl, apiKey: 'env:SCRIPTED_API_KEY', scripted: true },
    },
    models: { [modelName]: { targets: [{ provider: 'scripted' }], price: { input: 3, output: 7 } } },
  }
  writeFileSync(file, JSON.stringify(settings))
  const { python: interpreter } = await ensurePython({ progress: () => {} })
  stack = await testPlatform({ OMIUM_MODELS_FILE: file, SCRIPTED_API_KEY: canary })
  const { OMIUM_URL: url = '', OPENAI_BASE_URL: baseUrl = '', OPENAI_API_KEY: modelKey = '' } = stack.environment
  client = omium({ url, apiKey: stack.apiKey })
  host = worker({ agents: [asking], url, apiKey: stack.apiKey, llm: { baseUrl, apiKey: modelKey } })
  await host.start()
  python = await spawnService(
    'the Python worker',
    { ...stack.environment, PYTHONPATH: 'sdk/python/test/fixtures', WORK_LOG: join(folder, 'work.jsonl') },
    {
      command: interpreter,
      args: ['-m', 'omium', 'worker', 'team_graph:team'],
      readyTimeoutMs: 90_000,
      readyLine: /omium\.worker ready/,
    },
  )
}, 600_000)
afterAll(async () => {
  await python?.kill()
  await host?.stop()
  await stack?.stop()
  await model?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** What the gateway says, by the price of its route. */
const expectPriced = (steps: readonly StepView[]): void => {
  for (const { inputTokens = 0, outputTokens = 0, costMicroCredits } of steps) {
    expect(inputTokens * outputTokens).toBeGreaterThan(0)
    expect(costMicroCredits).toBe(inputTokens * 3 + outputTokens * 7)
  }
}

it('answers a TypeScript agent, and says what it cost and what it is not', async () => {
  const run = await eventually(() => client.start(asking, { question: 'What is a lease?' }), { timeoutMs: 30_000 })
  const { content, refused } = await run.result({ timeoutMs: 60_000 })
  expect(content.length).toBeGreaterThan(0)
  expect(refused).toBe('not_found')
  const steps = await run.steps()
  expectPriced(steps.filter(({ status }) => status === 'completed'))
  expect((await run.get()).costMicroCredits).toBe(steps[0]?.costMicroCredits)
})

it('answers an unchanged LangGraph graph in the same way', async () => {
  const input = { topic: 'priced', notes: [], messages: [] }
  const run = await eventually(() => client.start('team', input), { timeoutMs: 30_000 })
  await run.result({ timeoutMs: 90_000 })
  const calls = (await run.steps()).filter(({ kind }) => kind === 'llm')
  expect(calls.length).toBe(5)
  expectPriced(calls)
})

it('says which models there are to whoever checks a workflow', async () => {
  const definition = (model: string) => ({ name: 'w', nodes: { a: { type: 'model', model, prompt: 'x' } } })
  const problemsOf = async (model: string) => (await client.workflows.validate(definition(model))).problems
  expect(await problemsOf(modelName)).toEqual([])
  expect(await problemsOf(`${modelName}x`)).toMatchObject([
    { pointer: '/nodes/a/model', code: 'unknown_model', suggestion: `did you mean "${modelName}"?` },
  ])
})

it("keeps the provider's key to itself", () => {
  const holders = stack.state.services
    .filter(({ process: { pid } }) =>
      execFileSync('ps', ['eww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).includes(canary),
    )
    .map(({ name }) => name)
  expect(holders).toEqual(['models'])
  expect(Object.values(stack.environment)).not.toContain(canary)
  expect(python.output()).not.toContain(canary)
  expect(readFileSync(join(stack.layout.logs, 'models.log'), 'utf8')).not.toContain(canary)
})
