import { afterAll, beforeAll, it } from 'vitest'
import { openStage, type Stage } from '../stage.ts'
import { survivesEveryKill } from './sweep.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
}, 600_000)
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
}, 180_000)
