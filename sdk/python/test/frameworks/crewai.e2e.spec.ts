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

it('runs an unchanged crew that survives kill -9 at every record and within its model calls', async () => {
  const asks = (who: string) => `the ${who}: omium-local-scripted`
  const writers = ['plans (guide)', 'notes (read)', 'doubts (judge)', 'reports (tell)'].map((one) => `writer of ${one}`)
  await survivesEveryKill({
    stage,
    target: 'crew_team:team',
    agent: 'team',
    input: (topic) => ({ topic }),
    answer: (output) => output,
    // the buyer asks for the order, and says what came of it
    steps: ['order', ...[...writers, 'buyer (order)', 'buyer (order)'].map(asks)],
    seed: 20_263,
    instants: 3,
  })
}, 400_000)

it('asks a person whether an answer is good, whom another worker hears', async () => {
  const first = await stage.startWorker('crew_team:reviewed')
  const run = await stage.start('reviewed', {}, 'reviewed')
  const asked = (path: string) =>
    eventually(async () => (await run.steps()).some((step) => step.path === path), { timeoutMs: 30_000 })
  await asked('approve:draft#1')
  await first.kill('SIGKILL')
  await run.approve('approve:draft#1', 'rejected', 'longer')
  await stage.startWorker('crew_team:reviewed')
  await asked('approve:draft#2')
  await run.approve('approve:draft#2', 'approved')
  const { raw } = (await run.result({ timeoutMs: 30_000 })) as { raw: string }
  expect(raw).toContain('Draft.')
  expect((await run.steps()).filter(({ kind }) => kind === 'llm').length).toBe(2)
}, 90_000)
