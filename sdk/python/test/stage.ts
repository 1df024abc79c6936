import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePython } from '@omium/dev'
import { eventually, type ServiceHandle, spawnService, tenantOfPlatform } from '@omium/dev/testing'
import { type CallLogEntry, openCallLog, readCallLog, startModelServer } from '@omium/model-server'
import type { EventView } from '@omium/schemas'
import { type Client, omium, type RunHandle } from '@omium/sdk'
import { expect } from 'vitest'

export const fixtures = 'sdk/python/test/fixtures'

/** What the fixtures write down at once, before and while they do it. */
export interface Told {
  run: string
  attempt?: number
  step?: string
  effect?: string
  cancelled?: boolean
}

/** The platform, a model server that writes down its calls, and Python workers, for one spec file. */
export interface Stage {
  /** of the gateway */
  url: string
  client: Client
  /** workers by their ids, as the platform knows them */
  workers: Map<string, ServiceHandle>
  startWorker(target: string, ...options: string[]): Promise<ServiceHandle>
  /** runs a script of the fixtures */
  runScript(name: string): Promise<ServiceHandle>
  /** the console script */
  runCommand(...args: string[]): Promise<ServiceHandle>
  start(agent: string, input: unknown, id: string): Promise<RunHandle<unknown>>
  told(run: string): Told[]
  modelCalls(): CallLogEntry[]
  killWorkers(): Promise<void>
  close(): Promise<void>
}

export const openStage = async (): Promise<Stage> => {
  const home = mkdtempSync(join(tmpdir(), 'omium-python-'))
  const work = join(home, 'work.jsonl')
  const calls = join(home, 'calls.jsonl')
  writeFileSync(work, '')
  const { python } = await ensurePython({ progress: () => {} })
  const model = await startModelServer({ latencyMs: 50, callLog: openCallLog(calls) })
  const { environment: platform, url, apiKey } = await tenantOfPlatform()
  const client = omium({ url, apiKey })
  const workers = new Map<string, ServiceHandle>()
  const environment = {
    ...platform,
    PYTHONPATH: fixtures,
    PYTHONHASHSEED: '0',
    OPENAI_BASE_URL: model.baseUrl,
    OPENAI_API_KEY: 'none',
    WORK_LOG: work,
  }
  const killWorkers = async (): Promise<void> => {
    await Promise.all([...workers.values()].map((worker) => worker.kill()))
    workers.clear()
  }
  return {
    url,
    client,
    workers,
    killWorkers,
    async startWorker(target, ...options) {
      const worker = await spawnService('the Python worker', environment, {
        command: python,
        args: ['-m', 'omium', 'worker', target, ...options],
        readyTimeoutMs: 120_000,
        readyLine: /omium\.worker ready/,
      })
      const [, id = ''] = await worker.waitForLine(/omium\.worker ready (\S+)/)
      workers.set(id, worker)
      return worker
    },
    runScript: (name) => spawnService(name, environment, { command: python, args: [join(fixtures, name)] }),
    runCommand: (...args) => spawnService('omium', environment, { command: python, args: ['-m', 'omium', ...args] }),
    async start(agent, input, id) {
      // a worker announces its agents when it connects; until that is projected a start is refused
      const run = await eventually(() => client.start(agent, input, { id }), { timeoutMs: 30_000 })
      await run.get()
      return run
    },
    told: (run) =>
      readFileSync(work, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Told)
        .filter((line) => line.run === run),
    modelCalls: () => readCallLog(calls),
    async close() {
      await killWorkers()
      await model.close()
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/**
 * Events after which a run is killed: something has just been recorded about a step, timer or child. Markers of slow steps
 * are none: how many there are depends on the machine.
 */
export const isRecord = ({ type, data }: EventView): boolean =>
  ['StepCompleted', 'ChildFinished', 'TimerFired', 'TimerStarted', 'ChildRequested'].includes(type) ||
  (type === 'StepStarted' && (data as { intent?: unknown }).intent !== undefined)

/** The least time of so many turns, ms; none follows one that took less than is enough. One alone may meet a busy machine. */
export const fastestOf = async (
  turns: number,
  enoughMs: number,
  take: (turn: number) => Promise<number>,
): Promise<number> => {
  let fastest = Number.POSITIVE_INFINITY
  for (let turn = 0; turn < turns && fastest >= enoughMs; turn++) fastest = Math.min(fastest, await take(turn))
  return fastest
}

/**
 * Follows a run to its end and kills the worker that holds it, with SIGKILL, once `kill` things are recorded; a fresh
 * worker takes its place.
 * @returns its events
 */
export const followAndKill = async (
  stage: Stage,
  run: RunHandle<unknown>,
  kill: number,
  target: string,
  onEvent: (event: EventView) => Promise<void> = async () => {},
): Promise<EventView[]> => {
  const events: EventView[] = []
  let seen = 0
  let holder = ''
  let replacing: Promise<unknown> | undefined
  for await (const event of run.events()) {
    events.push(event)
    if (event.type === 'ExecutionStarted') holder = (event.data as { workerId: string }).workerId
    if (isRecord(event)) seen += 1
    if (seen >= kill && !replacing) {
      await stage.workers.get(holder)?.kill('SIGKILL')
      stage.workers.delete(holder)
      replacing = stage.startWorker(target)
    }
    await onEvent(event)
  }
  expect(replacing, 'a worker was killed').toBeDefined()
  await replacing
  return events
}

/** Paths whose result was recorded more than once. */
export const recordedTwice = (events: readonly EventView[]): string[] => {
  const paths = events.flatMap(({ type, data }) => {
    const { path, resolution } = data as { path: string; resolution?: { status: string } }
    const settled = type === 'StepCompleted' || (type === 'StepOutcomeResolved' && resolution?.status !== 'retry')
    return settled ? [path] : []
  })
  return paths.filter((path, index) => paths.indexOf(path) !== index)
}

/** Steps that ran in an attempt although they had been recorded before it began. */
export const repeated = (events: readonly EventView[], told: readonly Told[]): string[] => {
  const startOf = new Map<number, number>()
  const recordedAt = new Map<string, number>()
  for (const { type, version, data } of events) {
    const { attempt, path } = data as { attempt?: number; path?: string }
    if (type === 'ExecutionStarted' && attempt !== undefined) startOf.set(attempt, version)
    if (type === 'StepCompleted' && path !== undefined) recordedAt.set(path, version)
  }
  return told.flatMap(({ step, attempt }) => {
    if (step === undefined || attempt === undefined) return []
    const recorded = recordedAt.get(step) ?? Number.POSITIVE_INFINITY
    return recorded < (startOf.get(attempt) ?? 0) ? [`${step} in attempt ${attempt}`] : []
  })
}
