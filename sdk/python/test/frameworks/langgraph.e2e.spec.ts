import { eventually } from '@omium/dev/testing'
import type { CheckpointView } from '@omium/schemas'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { openStage, type Stage } from '../stage.ts'
import { survivesEveryKill } from './sweep.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
}, 600_000)
afterEach(() => stage.killWorkers())
afterAll(() => stage?.close())

const input = (topic: string) => ({ topic, notes: [], messages: [] })

const checkpointsOf = async (thread: string): Promise<CheckpointView[]> => {
  const found: CheckpointView[] = []
  for await (const one of stage.client.checkpoints.list({ thread })) found.push(one)
  return found
}

it('runs an unchanged graph that survives kill -9 at every record and within its model calls', async () => {
  await survivesEveryKill({
    stage,
    target: 'team_graph:team',
    agent: 'team',
    input,
    answer: (output) => (output as { report: string }).report,
    steps: [
      'order',
      ...['critic', 'planner', 'reader', 'reader', 'writer'].map((node) => `${node}: omium-local-scripted`),
    ],
    seed: 20_262,
    instants: 4,
  })
  // input, the start, and five super-steps: what the graph knew after each can be looked at
  const ids = ['input', ...Array.from({ length: 6 }, (_, step) => `step-${step}`)].sort()
  await eventually(async () => (await checkpointsOf('team-calm')).length === ids.length, { timeoutMs: 60_000 })
  const kept = await checkpointsOf('team-calm')
  expect(kept.map(({ id }) => id).sort()).toEqual(ids)
  expect(new Set(kept.map(({ namespace }) => namespace))).toEqual(new Set(['langgraph']))
  const { state } = await stage.client.checkpoints.get('team-calm', 'step-5', { namespace: 'langgraph' })
  expect((state as { json: { report: string } }).json.report).toContain('ordered calm')
}, 300_000)

it("keeps the graph's own checkpoints across a kill, for time travel with its own checkpointer", async () => {
  const first = await stage.startWorker('team_graph:kept')
  await stage.startWorker('team_graph:kept')
  const run = await stage.start('kept', input('travel'), 'kept-run')
  let holder = ''
  let killed = false
  for await (const { type, data } of run.events()) {
    if (type === 'ExecutionStarted') holder = (data as { workerId: string }).workerId
    if (type === 'StepCompleted' && !killed) {
      killed = true
      await stage.workers.get(holder)?.kill('SIGKILL')
    }
  }
  expect(killed && first).toBeTruthy()
  await run.result({ timeoutMs: 60_000 })
  const travelled = await stage.runScript('time_travel.py')
  const { code } = await travelled.exited
  expect(code, travelled.output()).toBe(0)
}, 120_000)
