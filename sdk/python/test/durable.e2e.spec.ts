import { eventually } from '@omium/dev/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { fastestOf, followAndKill, isRecord, openStage, recordedTwice, repeated, type Stage } from './stage.ts'

const target = 'durable:agents'
let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})
afterEach(() => stage.killWorkers())
afterAll(() => stage?.close())

describe('a Python worker', () => {
  it('survives kill -9 after every record, and repeats no recorded step or model call', async () => {
    await Promise.all([stage.startWorker(target), stage.startWorker(target)])
    const calm = await stage.start('py.report', { topic: 'calm' }, 'py-calm')
    expect(await calm.result({ timeoutMs: 20_000 })).toMatchObject({ letters: 4, done: 'published' })
    let records = 0
    for await (const event of calm.events()) if (isRecord(event)) records += 1
    expect(records).toBeGreaterThanOrEqual(11)

    for (let kill = 1; kill <= records; kill++) {
      const id = `py-kill-${kill}`
      const topic = `topic ${kill}`
      const run = await stage.start('py.report', { topic }, id)
      const events = await followAndKill(stage, run, kill, target)
      const output = await run.result({ timeoutMs: 20_000 })
      expect(output, id).toMatchObject({ letters: topic.length, done: 'published' })
      const told = stage.told(id)
      expect(recordedTwice(events), id).toEqual([])
      expect(repeated(events, told), id).toEqual([])
      expect(told.filter(({ effect }) => effect !== undefined).length, id).toBe(1)
      const asked = new Set(stage.modelCalls().map(({ requestHash }) => requestHash))
      expect(asked.size, 'three different calls of each run').toBe(3 * (kill + 1))
    }
    const received = stage.modelCalls().filter(({ event }) => event === 'received').length
    // only a call in flight at the kill is made again: at most three of a run
    expect(received).toBeLessThanOrEqual(3 * (records + 1) + 3 * records)
  }, 180_000)

  it('is driven by both Python clients', async () => {
    await stage.startWorker(target)
    await eventually(async () => (await stage.client.agents()).some(({ agent }) => agent === 'py.ask'), {
      timeoutMs: 30_000,
    })
    const script = await stage.runScript('clients.py')
    const { code } = await script.exited
    expect(script.output()).toContain('both clients work')
    expect(code).toBe(0)
  }, 60_000)

  it('is replayed, rolled back and simulated like any other', async () => {
    await stage.startWorker(target)
    const run = await stage.start('py.report', { topic: 'rewind' }, 'py-rewind')
    const output = await run.result({ timeoutMs: 20_000 })
    const effects = () => stage.told('py-rewind').filter(({ effect }) => effect !== undefined).length
    const replay = await stage.runCommand('replay', 'py-rewind', '--code', target)
    const { code } = await replay.exited
    expect([code, replay.output()]).toEqual([0, expect.stringContaining('same      py-rewind')])
    expect(effects()).toBe(1)

    const { started } = await stage.client.replays.create({
      runs: { ids: ['py-rewind'] },
      overrides: { instructions: 'Be kind.' },
    })
    const simulated = stage.client.handle(started[0]?.executionId ?? '')
    expect(await simulated.result({ timeoutMs: 20_000 })).toMatchObject({ letters: 6, done: 'published' })
    expect(stage.told(simulated.id)).toEqual([])

    const asking = await stage.start('py.ask', null, 'py-back')
    await asking.signal('go', 1)
    await eventually(async () => (await asking.steps()).some(({ path }) => path === 'approve#1'))
    await asking.rollBack(null)
    await eventually(async () =>
      expect((await asking.steps()).find(({ path }) => path === 'approve#1')?.executionAttempt).toBeGreaterThan(1),
    )
    await asking.approve('approve#1')
    expect(await asking.result({ timeoutMs: 30_000 })).toEqual({ given: null, go: 1, approved: true })
    expect(output).toMatchObject({ done: 'published' })
  }, 90_000)

  it('stops a hanging step on cancel, and hands its runs on when it is told to end', async () => {
    const first = await stage.startWorker(target)
    expect(
      await fastestOf(5, 2000, async (turn) => {
        const id = `py-hang-${turn}`
        const hanging = await stage.start('py.hang', null, id)
        await eventually(() => stage.told(id).length > 0, { timeoutMs: 20_000 })
        const cancelledAt = performance.now()
        await hanging.cancel('enough')
        await eventually(() => stage.told(id).some(({ cancelled }) => cancelled), { timeoutMs: 20_000 })
        return performance.now() - cancelledAt
      }),
    ).toBeLessThan(2000)

    const run = await stage.start('py.ask', null, 'py-drain')
    await eventually(async () => (await run.steps()).some(({ path }) => path === 'wait:go#1'))
    await first.kill('SIGTERM')
    await stage.startWorker(target)
    await run.signal('go', 1)
    await eventually(async () => (await run.steps()).some(({ path }) => path === 'approve#1'))
    await run.approve('approve#1', 'rejected')
    expect(await run.result({ timeoutMs: 30_000 })).toEqual({ given: null, go: 1, approved: false })
  }, 60_000)

  it('runs a team that is written down, without code', async () => {
    await stage.startWorker('sdk/python/test/fixtures/team.yaml')
    const run = await stage.start('written-team', { topic: 'tides' }, 'py-team')
    expect(String(await run.result({ timeoutMs: 20_000 })).length).toBeGreaterThan(0)
    const steps = await run.steps()
    expect(steps.map(({ path }) => path).sort()).toEqual(['chat:future#1', 'chat:past#1', 'chat:write#1'])
    await expect(stage.client.start('written-team', { topc: 'tides' })).rejects.toMatchObject({ code: 'input_invalid' })
  }, 60_000)
})
