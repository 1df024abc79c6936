import type { EventView } from '@omium/schemas'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { followAndKill, isRecord, openStage, recordedTwice, type Stage } from '../stage.ts'

const target = 'team_graph:team'
let stage: Stage

beforeAll(async () => {
  stage = await openStage()
}, 600_000)
afterAll(() => stage?.close())

const input = (topic: string) => ({ topic, notes: [], messages: [] })

/** Answered calls of the model's own account, by request. */
const answeredSince = (from: number): Map<string, number> => {
  const answered = new Map<string, number>()
  for (const { event, requestHash } of stage.modelCalls().slice(from))
    if (event === 'answered') answered.set(requestHash, (answered.get(requestHash) ?? 0) + 1)
  return answered
}

it('runs an unchanged graph that survives kill -9 at every record without a repeated recorded call', async () => {
  await Promise.all([stage.startWorker(target), stage.startWorker(target)])
  const calm = await stage.start('team', input('calm'), 'graph-calm')
  const { report } = (await calm.result({ timeoutMs: 30_000 })) as { report: string }
  expect(report).toContain('ordered calm')
  const steps = await calm.steps()
  expect(steps.map(({ name }) => name).sort()).toEqual(
    ['critic', 'planner', 'reader', 'reader', 'writer']
      .map((node) => `${node}: omium-local-scripted`)
      .concat('order')
      .sort(),
  )
  expect(steps.every(({ kind, inputTokens }) => kind === 'tool' || (inputTokens ?? 0) > 0)).toBe(true)
  let records = 0
  for await (const event of calm.events()) if (isRecord(event)) records += 1
  expect(records).toBeGreaterThanOrEqual(7)

  for (let kill = 1; kill <= records; kill++) {
    const id = `graph-kill-${kill}`
    const topic = `thing-${kill}`
    const callsBefore = stage.modelCalls().length
    const run = await stage.start('team', input(topic), id)
    // what became of an effect in doubt is looked up by a person: here in the log of the shop
    const decide = async ({ type, data }: EventView): Promise<void> => {
      if (type !== 'StepOutcomeUnknown') return
      const { path, idempotencyKey } = data as { path: string; idempotencyKey: string }
      const happened = stage.told(topic).some(({ effect }) => effect === idempotencyKey)
      await run.resolve(path, happened ? { status: 'completed', output: `ordered ${topic}` } : { status: 'retry' })
    }
    const events = await followAndKill(stage, run, kill, target, decide)
    const output = (await run.result({ timeoutMs: 30_000 })) as { report: string }
    expect(output.report, id).toBe(report.replaceAll('calm', topic))
    expect(recordedTwice(events), id).toEqual([])
    expect(stage.told(topic).length, `${id}: the effect happened once`).toBe(1)
    // an answer that was on its way when the worker died is asked for again; one that was recorded never is
    const answered = answeredSince(callsBefore)
    expect(answered.size, id).toBe(5)
    const recordedBeforeLoss = events
      .slice(
        0,
        events.findIndex(({ type }) => type === 'AttemptLost'),
      )
      .filter(({ type, data }) => type === 'StepCompleted' && (data as { kind: string }).kind === 'llm').length
    const twice = [...answered.values()].filter((count) => count > 1).length
    expect(twice, `${id}: repeated only what was not recorded`).toBeLessThanOrEqual(5 - recordedBeforeLoss)
  }
}, 180_000)
