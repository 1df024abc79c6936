import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { devUp, ensurePython, type RunningStack } from '@omium/dev'
import { eventually, type ServiceHandle, spawnService } from '@omium/dev/testing'
import { type ModelServer, openCallLog, readCallLog, startModelServer } from '@omium/model-server'
import type { EventView } from '@omium/schemas'
import { type Client, omium } from '@omium/sdk'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

const fixtures = 'sdk/python/test/fixtures'

let stack: RunningStack
let python: string
let home: string
let model: ModelServer
let client: Client
const files = { work: '', calls: '' }
/** by their ids, as the platform knows them */
const workers = new Map<string, ServiceHandle>()

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'omium-python-'))
  files.work = join(home, 'work.jsonl')
  files.calls = join(home, 'calls.jsonl')
  writeFileSync(files.work, '')
  python = (await ensurePython({ progress: () => {} })).python
  model = await startModelServer({ latencyMs: 50, callLog: openCallLog(files.calls) })
  stack = await devUp({ ephemeral: true })
  client = omium({ url: stack.environment['OMIUM_URL'] ?? '', apiKey: stack.apiKey })
})
afterEach(async () => {
  await Promise.all([...workers.values()].map((worker) => worker.kill()))
  workers.clear()
})
afterAll(async () => {
  await stack?.stop()
  await model?.close()
  rmSync(home, { recursive: true, force: true })
})

const environment = () => ({
  ...stack.environment,
  PYTHONPATH: fixtures,
  PYTHONHASHSEED: '0',
  OPENAI_BASE_URL: model.baseUrl,
  WORK_LOG: files.work,
})

const startWorker = async (): Promise<ServiceHandle> => {
  const worker = await spawnService('the Python worker', environment(), {
    command: python,
    args: ['-m', 'omium', 'worker', 'durable:agents'],
    readyTimeoutMs: 30_000,
    readyLine: /omium\.worker ready/,
  })
  const [, id = ''] = await worker.waitForLine(/omium\.worker ready (\S+)/)
  workers.set(id, worker)
  return worker
}

interface Told {
  run: string
  attempt?: number
  step?: string
  effect?: string
  cancelled?: boolean
}
const told = (run: string): Told[] =>
  readFileSync(files.work, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Told)
    .filter((line) => line.run === run)

const isRecord = ({ type }: EventView): boolean =>
  ['StepCompleted', 'ChildFinished', 'TimerFired', 'TimerStarted', 'ChildRequested', 'StepStarted'].includes(type)

/** Steps that ran in an attempt although they had been recorded before it began. */
const repeated = (events: readonly EventView[], run: string): string[] => {
  const startOf = new Map<number, number>()
  const recordedAt = new Map<string, number>()
  for (const { type, version, data } of events) {
    const { attempt, path } = data as { attempt?: number; path?: string }
    if (type === 'ExecutionStarted' && attempt !== undefined) startOf.set(attempt, version)
    if (type === 'StepCompleted' && path !== undefined) {
      expect(recordedAt.has(path), `${path} is recorded once`).toBe(false)
      recordedAt.set(path, version)
    }
  }
  return told(run).flatMap(({ step, attempt }) => {
    if (step === undefined || attempt === undefined) return []
    const recorded = recordedAt.get(step) ?? Number.POSITIVE_INFINITY
    return recorded < (startOf.get(attempt) ?? 0) ? [`${step} in attempt ${attempt}`] : []
  })
}

describe('a Python worker', () => {
  it('survives kill -9 after every record, and repeats no recorded step or model call', async () => {
    await Promise.all([startWorker(), startWorker()])
    const start = async (id: string, topic: string) => {
      const run = await eventually(() => client.start('py.report', { topic }, { id }), { timeoutMs: 15_000 })
      await run.get()
      return run
    }
    const calm = await start('py-calm', 'calm')
    const output = (await calm.result({ timeoutMs: 20_000 })) as { letters: number; texts: string[]; done: string }
    expect(output).toMatchObject({ letters: 4, done: 'published' })
    let records = 0
    for await (const event of calm.events()) if (isRecord(event)) records += 1
    expect(records).toBeGreaterThanOrEqual(12)

    for (let kill = 1; kill <= records; kill++) {
      const id = `py-kill-${kill}`
      const topic = `topic ${kill}`
      const run = await start(id, topic)
      const events: EventView[] = []
      let seen = 0
      let holder = ''
      let replacing: Promise<unknown> | undefined
      for await (const event of run.events()) {
        events.push(event)
        if (event.type === 'ExecutionStarted') holder = (event.data as { workerId: string }).workerId
        if (isRecord(event)) seen += 1
        if (seen < kill || replacing) continue
        await workers.get(holder)?.kill('SIGKILL')
        workers.delete(holder)
        replacing = startWorker()
      }
      await replacing
      const got = (await run.result({ timeoutMs: 20_000 })) as typeof output
      expect(got, id).toMatchObject({ letters: topic.length, done: 'published' })
      expect(repeated(events, id), id).toEqual([])
      expect(told(id).filter(({ effect }) => effect !== undefined).length, id).toBe(1)
      // every answer of the model that was recorded was asked for once
      const ids = new Set(readCallLog(files.calls).map(({ requestHash }) => requestHash))
      expect(ids.size).toBe(3 * (kill + 1))
    }
    const calls = readCallLog(files.calls)
    const answered = calls.filter(({ event }) => event === 'answered').length
    const received = calls.filter(({ event }) => event === 'received').length
    // a call in flight at the kill is answered to nobody and asked again: at most three of one run
    expect(received).toBeLessThanOrEqual(3 * (records + 1) + 3 * records)
    expect(answered).toBeLessThanOrEqual(received)
  }, 180_000)

  it('is driven by both Python clients', async () => {
    await startWorker()
    await eventually(async () => (await client.agents()).some(({ agent }) => agent === 'py.ask'), { timeoutMs: 15_000 })
    const script = await spawnService('the Python clients', environment(), {
      command: python,
      args: [`${fixtures}/clients.py`],
    })
    const { code } = await script.exited
    expect(script.output()).toContain('both clients work')
    expect(code).toBe(0)
  }, 60_000)

  it('stops a hanging step on cancel, and hands its runs on when it is told to end', async () => {
    const first = await startWorker()
    const hanging = await eventually(() => client.start('py.hang', null, { id: 'py-hang' }), { timeoutMs: 15_000 })
    await eventually(() => told('py-hang').length > 0)
    const cancelledAt = performance.now()
    await hanging.cancel('enough')
    await eventually(() => told('py-hang').some(({ cancelled }) => cancelled))
    expect(performance.now() - cancelledAt).toBeLessThan(2000)

    const run = await client.start('py.ask', null, { id: 'py-drain' })
    await eventually(async () => (await run.steps()).some(({ path }) => path === 'wait:go#1'))
    await first.kill('SIGTERM')
    await startWorker()
    await run.signal('go', 1)
    await eventually(async () => (await run.steps()).some(({ path }) => path === 'approve#1'))
    await run.approve('approve#1', 'rejected')
    expect(await run.result({ timeoutMs: 10_000 })).toEqual({ given: null, go: 1, approved: false })
  }, 60_000)
})
