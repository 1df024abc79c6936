import { eventually } from '@omium/dev/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EngineProcess, isOf, openPlatform, type Platform } from './platform.ts'
import { countingScript, ScriptedWorker } from './scripted-worker.ts'

/** what the two that share the partitions have each */
const half = 2
const settings = { OMIUM_OWNER_SESSION_TIMEOUT_MS: '3000' }

let platform: Platform
let remaining: EngineProcess
beforeAll(async () => {
  platform = await openPlatform()
})
afterAll(() => platform.close())

const owns = ({ service }: EngineProcess, count: number) =>
  eventually(() => (service.output().match(/"msg":"a partition is owned"/g) ?? []).length >= count)

describe('two engines', { timeout: 120_000 }, () => {
  it('share the partitions, and the runs of the one that is killed go on with the other', async () => {
    const first = await platform.startEngine(settings)
    await owns(first, 2 * half)
    const second = await platform.startEngine(settings)
    remaining = second
    const killed = Promise.withResolvers<void>()
    // in the middle of every run
    const paced = { paced: countingScript(30, (_, step) => (step === 10 ? killed.promise : undefined)) }
    const atFirst = new ScriptedWorker(first.url, paced)
    const atSecond = new ScriptedWorker(second.url, paced)
    await Promise.all([atFirst.waitFor('welcome'), atSecond.waitFor('welcome')])
    await owns(second, half)
    const ids = Array.from({ length: 16 }, (_, i) => `paced-${i}`)
    for (const id of ids) await platform.start(id, 'paced')
    for (const id of ids) await platform.until(isOf(id, 'StepCompleted'))

    const killedAt = Date.now()
    await first.service.kill('SIGKILL')
    killed.resolve()
    for (const id of ids) await platform.until(isOf(id, 'ExecutionCompleted'))

    const taken = ids.filter((id) => platform.of(id).some((event) => event.type === 'AttemptLost'))
    expect(taken.length).toBeGreaterThan(0)
    expect(taken.length).toBeLessThan(ids.length)
    for (const id of ids) {
      const paths = platform
        .of(id)
        .flatMap((event) => (event.type === 'StepCompleted' ? [(event.data as { path: string }).path] : []))
      expect(paths).toEqual(Array.from({ length: 30 }, (_, i) => `s#${i + 1}`))
    }
    // the new owner's worker ran nothing that was recorded before
    for (const id of taken) {
      const journal = atSecond.received.find((m) => m.type === 'assign' && m.executionId === id)
      const recorded = journal?.type === 'assign' ? journal.journalEntries : Number.NaN
      expect(atSecond.ran.filter((ran) => ran.startsWith(`${id}@2`))).toHaveLength(30 - recorded)
    }
    const resumedAt = Math.min(
      ...platform.events.flatMap((event) =>
        event.type === 'ExecutionStarted' && (event.data as { attempt: number }).attempt === 2
          ? [event.envelope.time]
          : [],
      ),
    )
    expect(resumedAt - killedAt).toBeLessThan(20_000)
    atFirst.cut()
    atSecond.cut()
  })

  it('hand over within a moment when one is asked to end', async () => {
    const leaving = await platform.startEngine(settings)
    const left = Promise.withResolvers<void>()
    const polite = { polite: countingScript(20, (_, step) => (step === 10 ? left.promise : undefined)) }
    const workers = [remaining, leaving].map(({ url }) => new ScriptedWorker(url, polite))
    await Promise.all(workers.map((worker) => worker.waitFor('welcome')))
    await owns(leaving, half)
    const ids = Array.from({ length: 16 }, (_, i) => `polite-${i}`)
    for (const id of ids) await platform.start(id, 'polite')
    for (const id of ids) await platform.until(isOf(id, 'StepCompleted'))
    const askedAt = Date.now()
    await leaving.service.stop()
    expect((await leaving.service.exited).code).toBe(0)
    left.resolve()
    for (const id of ids) await platform.until(isOf(id, 'ExecutionCompleted'))
    const lost = platform.events.filter((event) => event.type === 'AttemptLost' && event.envelope.time >= askedAt)
    expect(lost.length).toBeGreaterThan(0)
    for (const event of lost) expect(event.data).toMatchObject({ reason: 'engine_restarted' })
    for (const worker of workers) worker.cut()
  })
})
