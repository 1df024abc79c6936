import { existsSync } from 'node:fs'
import { eventually } from '@omium/dev/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { fastestOf, openStage, repeated, type Stage, type Told } from './stage.ts'

const target = 'isolated:isolated'
let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})
afterEach(() => stage.killWorkers())
afterAll(() => stage?.close())

/** A run that blocks in a step of its first attempt, and the process it blocks in. */
const blocked = async (id: string) => {
  const run = await stage.start('py.isolated', null, id)
  const told = () => stage.told(id) as (Told & { pid: number })[]
  const { pid } = await eventually(
    () => {
      const found = told().find(({ step }) => step === 'block#1')
      if (!found) throw new Error('it does not block yet')
      return found
    },
    { timeoutMs: 20_000 },
  )
  return { run, pid, told, modelCalls: () => stage.modelCalls().filter(({ event }) => event === 'received').length }
}

const gone = (pid: number) =>
  eventually(() => expect(existsSync(`/proc/${pid}/exe`)).toBe(false), { timeoutMs: 20_000 })

describe('a Python worker with a process for each attempt', () => {
  it('loses one attempt when its process is killed, and says how it ended', async () => {
    await stage.startWorker(target, '--isolation', 'process')
    const { run, pid, told, modelCalls } = await blocked('isolated-child')
    const calls = modelCalls()
    process.kill(pid, 'SIGKILL')
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ attempt: 2 })
    const events = []
    for await (const event of run.events()) events.push(event)
    expect(events.find(({ type }) => type === 'AttemptLost')?.data).toMatchObject({
      reason: 'reported_by_worker',
      detail: expect.stringContaining('signal SIGKILL'),
    })
    expect(repeated(events, told())).toEqual([])
    expect(modelCalls()).toBe(calls)
  }, 60_000)

  it('leaves no process behind when it is killed itself, and another goes on', async () => {
    const worker = await stage.startWorker(target, '--isolation', 'process')
    const { run, pid, told, modelCalls } = await blocked('isolated-parent')
    const calls = modelCalls()
    await worker.kill('SIGKILL')
    await gone(pid)
    await stage.startWorker(target, '--isolation', 'process')
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ attempt: 2 })
    expect(told().map(({ step }) => step)).toEqual(['first#1', 'block#1', 'block#1'])
    expect(modelCalls()).toBe(calls)
  }, 60_000)

  it('ends code that can not be interrupted within two seconds of its cancellation', async () => {
    await stage.startWorker(target, '--isolation', 'process')
    expect(
      await fastestOf(5, 2000, async (turn) => {
        const { run, pid } = await blocked(`isolated-cancel-${turn}`)
        const cancelledAt = performance.now()
        await run.cancel('enough')
        await gone(pid)
        return performance.now() - cancelledAt
      }),
    ).toBeLessThan(2000)
  }, 60_000)

  it('fails a run whose code never comes back, with a code', async () => {
    // long enough for a process to start, and for its model call, on a busy machine
    await stage.startWorker(target, '--isolation', 'process', '--stall-timeout', '5')
    const { run, pid } = await blocked('isolated-stall')
    await gone(pid)
    await expect(run.result({ timeoutMs: 20_000 })).rejects.toMatchObject({ code: 'execution_stalled' })
  }, 60_000)
})
