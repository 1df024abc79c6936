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

it('runs an unchanged team that survives kill -9 at every record and within its model calls', async () => {
  const asks = (agent: string) => `${agent}: omium-local-scripted`
  await survivesEveryKill({
    stage,
    target: 'autogen_team:team',
    agent: 'team',
    // who of the two in the middle is first is each run's own
    answer: (output) => {
      const { answer, messages } = output as { answer: string; messages: { source: string; content: unknown }[] }
      const said = messages.filter(({ content }) => typeof content === 'string')
      return { answer, said: said.map(({ source, content }) => `${source}: ${content}`).sort() }
    },
    steps: ['order', ...['planner', 'reader', 'critic', 'buyer', 'writer'].map(asks)],
    seed: 20_261,
    instants: 4,
  })
}, 400_000)

it('asks a person for an approval, whom another worker hears', async () => {
  const first = await stage.startWorker('autogen_team:reviewed')
  const run = await stage.start('reviewed', 'draft', 'reviewed')
  await eventually(async () => (await run.steps()).some(({ path }) => path === 'approve#1'), { timeoutMs: 20_000 })
  await first.kill('SIGKILL')
  await run.approve('approve#1', 'rejected', 'longer')
  await stage.startWorker('autogen_team:reviewed')
  await eventually(async () => (await run.steps()).some(({ path }) => path === 'approve#2'), { timeoutMs: 20_000 })
  await run.approve('approve#2', 'approved')
  const { messages } = (await run.result({ timeoutMs: 20_000 })) as { messages: { source: string; content: string }[] }
  expect(
    messages
      .filter(({ source }) => source === 'boss')
      .map(({ content }) => content)
      .filter(Boolean),
  ).toEqual(['REJECT: longer', 'APPROVE'])
}, 180_000)
