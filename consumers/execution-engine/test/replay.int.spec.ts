import { stackSettings } from '@omium/dev/testing'
import type { ExecutionView } from '@omium/schemas'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { replayExecution } from '../src/replay.ts'
import { isOf, openPlatform, type Platform } from './platform.ts'
import { countingScript, ScriptedWorker, tenant } from './scripted-worker.ts'

let platform: Platform
beforeAll(async () => {
  platform = await openPlatform()
})
afterAll(() => platform.close())

it('a run folded anew from the log agrees with a true read model, and names what a false one has wrong', async () => {
  const engine = await platform.startEngine()
  const worker = new ScriptedWorker(engine.url, { three: countingScript(3) })
  await worker.waitFor('welcome')
  await platform.start('three-1', 'three', {}, { topic: 'x' })
  const completed = await platform.until(isOf('three-1', 'ExecutionCompleted'))
  const env = { ...stackSettings(platform.context.topicPrefix), OMIUM_PARTITIONS: '4' }
  const readModel: ExecutionView = {
    id: 'three-1',
    agent: 'three',
    status: 'completed',
    input: { topic: 'x' },
    output: 3,
    attempt: 1,
    stepsCompleted: 3,
    costMicroCredits: 0,
    inputTokens: 0,
    outputTokens: 0,
    options: {},
    createdAt: new Date(0).toISOString(),
    version: completed.envelope.version,
    position: `${completed.partition}:${completed.offset}`,
  }
  const report = await replayExecution({ env, executionId: 'three-1', tenant, readModel })
  expect(report).toEqual({ agrees: true, accepted: 6, rejected: 0, differences: [] })
  const wrong = await replayExecution({ env, executionId: 'three-1', readModel: { ...readModel, output: 4 } })
  expect(wrong.differences).toEqual([{ field: 'output', log: 3, readModel: 4 }])
  worker.cut()
})
