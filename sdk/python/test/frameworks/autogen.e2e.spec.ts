import { afterAll, beforeAll, it } from 'vitest'
import { openStage, type Stage } from '../stage.ts'
import { survivesEveryKill } from './sweep.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
}, 600_000)
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
}, 180_000)
