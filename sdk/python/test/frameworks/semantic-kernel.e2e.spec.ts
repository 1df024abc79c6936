import { eventually } from '@omium/dev/testing'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { openStage, type Stage } from '../stage.ts'
import { survivesEveryKill } from './sweep.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
}, 600_000)
afterEach(() => stage.killWorkers())
afterAll(() => stage?.close())

it('runs an unchanged orchestration that survives kill -9 at every record and within its model calls', async () => {
  const asks = (agent: string) => `${agent}: omium-local-scripted`
  await survivesEveryKill({
    stage,
    target: 'semantic_kernel_team:team',
    agent: 'team',
    answer: (output) => output,
    steps: ['Shop-order', ...['planner', 'buyer', 'buyer', 'writer'].map(asks)],
    seed: 20_262,
    instants: 3,
  })
}, 400_000)

it('waits for what a person says, whom another worker hears, and can be cancelled while it waits', async () => {
  const first = await stage.startWorker('semantic_kernel_team:asking')
  const run = await stage.start('asking', 'help', 'asking')
  const asked = (path: string) =>
    eventually(async () => (await run.steps()).some((step) => step.path === path), { timeoutMs: 20_000 })
  await asked('wait:resume:1#1')
  await first.kill('SIGKILL')
  await run.signal('resume', 'more of it')
  await stage.startWorker('semantic_kernel_team:asking')
  await asked('wait:resume:2#1')
  expect((await run.steps()).filter(({ kind }) => kind === 'llm').length).toBe(2)
  await run.cancel('enough')
  await eventually(async () => (await run.get()).status === 'cancelled', { timeoutMs: 20_000 })
}, 180_000)
