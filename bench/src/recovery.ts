import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '@omium/dev'
import { omium } from '@omium/sdk'
import { pacedSteps } from './agents.ts'
import type { Flags } from './flags.ts'
import { percentile } from './load.ts'
import { type Observer, observe } from './observer.ts'
import { type BenchProcess, type BenchStack, startBenchStack, startBenchWorker } from './stack.ts'
import { table } from './table.ts'

/**
 * What a kill -9 costs the runs it hits, under load: from the kill to the next accepted step of each affected run, as an
 * outside reader of the log sees it. An affected run is one that the killed worker held, or that lives on a partition that
 * the killed engine owned.
 */
export interface RecoverySeries {
  readonly what: 'worker' | 'engine'
  readonly kills: number
  readonly affectedRuns: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** of each kill, the first of its runs that went on */
  readonly firstP50Ms: number
  readonly firstP99Ms: number
}

export interface RecoveryResult {
  readonly fsync: boolean
  readonly sessionTimeoutMs: number
  readonly runsUnderLoad: number
  readonly series: readonly RecoverySeries[]
}

const runsUnderLoad = 40
/** one run lasts about two seconds, so that a kill meets most runs in the middle */
const load = { steps: 100, stepMs: 20 }
const recoveryDeadlineMs = 60_000
const partitions = 4

export const benchRecovery = async (flags: Flags, say: (line: string) => void): Promise<RecoveryResult> => {
  const stack = await startBenchStack({ fsync: flags.fsync, services: 'platform without engine', partitions, say })
  const observer = await observe(stack)
  const engines = new Map<string, BenchProcess>()
  const startEngine = async (name: string): Promise<void> => {
    const port = await freePort()
    engines.set(
      `:${port}`,
      stack.spawn(name, 'consumers/execution-engine/src/main.ts', { OMIUM_ENGINE_PORT: `${port}` }),
    )
    await until(
      'an engine owns its share',
      () => [...observer.owners.values()].filter((one) => one.includes(`:${port}`)).length >= partitions / 2,
    )
  }
  const stopLoad = new AbortController()
  try {
    await startEngine('engine-1')
    const workers = [await startBenchWorker(stack, 'worker-1'), await startBenchWorker(stack, 'worker-2')]
    const loading = keepRunning(stack, stopLoad.signal)
    await until('the runs are under way', () => observer.openRuns.size >= runsUnderLoad * 0.8)
    const series = [await killWorkers(stack, observer, workers, flags.kills, say)]
    await startEngine('engine-2')
    series.push(await killEngines(observer, engines, startEngine, flags.kills, say))
    stopLoad.abort()
    await loading
    return {
      fsync: flags.fsync,
      sessionTimeoutMs: Number(stack.environment['OMIUM_OWNER_SESSION_TIMEOUT_MS']),
      runsUnderLoad,
      series,
    }
  } finally {
    stopLoad.abort()
    await observer.close()
    await stack.stop()
  }
}

type Worker = Awaited<ReturnType<typeof startBenchWorker>>

const killWorkers = async (
  stack: BenchStack,
  observer: Observer,
  workers: Worker[],
  kills: number,
  say: (line: string) => void,
): Promise<RecoverySeries> => {
  const perKill: number[][] = []
  for (let kill = 0; kill < kills; kill++) {
    const index = kill % workers.length
    const victim = workers[index]
    if (!victim) break
    const held = () => [...observer.openRuns].filter(([, run]) => run.workerId === victim.workerId)
    await until('the worker holds runs', () => held().length >= 5)
    const affected = new Map(held().map(([aggregate, run]) => [aggregate, run.attempt]))
    const took = await resumed(
      observer,
      affected,
      (step, attempt) => step.attempt > attempt,
      () => victim.kill(),
    )
    perKill.push(took)
    say(
      `worker kill ${kill + 1} of ${kills}: ${took.length} runs went on, the last after ${Math.max(...took).toFixed(0)} ms`,
    )
    workers[index] = await startBenchWorker(stack, `worker-${kill + 3}`)
  }
  return seriesOf('worker', perKill)
}

const killEngines = async (
  observer: Observer,
  engines: Map<string, BenchProcess>,
  startEngine: (name: string) => Promise<void>,
  kills: number,
  say: (line: string) => void,
): Promise<RecoverySeries> => {
  const perKill: number[][] = []
  for (let kill = 0; kill < kills; kill++) {
    const [port, victim] = [...engines][0] ?? []
    if (port === undefined || !victim) break
    const owned = () =>
      new Set([...observer.owners].flatMap(([partition, endpoint]) => (endpoint.includes(port) ? [partition] : [])))
    await until(
      'the engine owns partitions with runs',
      () => [...observer.openRuns.values()].filter((run) => owned().has(run.partition)).length >= 5,
    )
    const partitions = owned()
    const affected = new Map(
      [...observer.openRuns].flatMap(([key, run]) => (partitions.has(run.partition) ? [[key, 0]] : [])) as [
        string,
        number,
      ][],
    )
    const claimed = new Set<number>()
    observer.onClaim((partition) => claimed.add(partition))
    const took = await resumed(
      observer,
      affected,
      (step) => claimed.has(step.partition),
      () => victim.kill(),
    )
    observer.onClaim(undefined)
    engines.delete(port)
    perKill.push(took)
    say(
      `engine kill ${kill + 1} of ${kills}: ${took.length} runs went on, the last after ${Math.max(...took).toFixed(0)} ms`,
    )
    await startEngine(`engine-${kill + 3}`)
  }
  return seriesOf('engine', perKill)
}

/** Kills, and waits for the next accepted step of every affected run; gives the times from the kill. */
const resumed = async (
  observer: Observer,
  affected: Map<string, number>,
  counts: (step: { attempt: number; partition: number }, attempt: number) => boolean,
  kill: () => Promise<number>,
): Promise<number[]> => {
  const seenAt: number[] = []
  const total = affected.size
  observer.onStep((step) => {
    const attempt = affected.get(step.aggregate)
    if (attempt === undefined || !counts(step, attempt)) return
    affected.delete(step.aggregate)
    seenAt.push(step.at)
  })
  const killedAt = await kill()
  // a run whose last step was recorded just before the kill has no next one
  await until('every affected run goes on', () => {
    for (const aggregate of affected.keys()) if (!observer.openRuns.has(aggregate)) affected.delete(aggregate)
    return affected.size === 0
  })
  observer.onStep(undefined)
  if (seenAt.length < total / 2) throw new Error(`only ${seenAt.length} of ${total} affected runs were seen to go on`)
  return seenAt.map((at) => at - killedAt)
}

const seriesOf = (what: RecoverySeries['what'], perKill: readonly number[][]): RecoverySeries => {
  const all = perKill.flat().sort((a, b) => a - b)
  const first = perKill.map((took) => Math.min(...took)).sort((a, b) => a - b)
  const rounded = (sorted: readonly number[], share: number) => Math.round(percentile(sorted, share))
  return {
    what,
    kills: perKill.length,
    affectedRuns: all.length,
    p50Ms: rounded(all, 0.5),
    p99Ms: rounded(all, 0.99),
    maxMs: rounded(all, 1),
    firstP50Ms: rounded(first, 0.5),
    firstP99Ms: rounded(first, 0.99),
  }
}

/** Keeps so many paced runs open; a start that meets a takeover is simply made again. */
const keepRunning = async (stack: BenchStack, signal: AbortSignal): Promise<void> => {
  const { OMIUM_URL: url, OMIUM_API_KEY: apiKey } = stack.environment
  const client = omium({ ...(url && { url }), ...(apiKey && { apiKey }) })
  const caller = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        const run = await client.start(pacedSteps, load)
        await run.result({ signal })
      } catch {
        await delay(100)
      }
    }
  }
  await Promise.all(Array.from({ length: runsUnderLoad }, caller))
}

const until = async (what: string, condition: () => boolean): Promise<void> => {
  const deadline = performance.now() + recoveryDeadlineMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${recoveryDeadlineMs} ms until ${what}, in vain`)
    await delay(5)
  }
}

export const recoveryText = ({ fsync, sessionTimeoutMs, runsUnderLoad: runs, series }: RecoveryResult): string =>
  [
    `kill -9 under load (${runs} runs at a time), from the kill to the next accepted step`,
    `durability ${fsync ? 'fsync' : 'default'}; owner session timeout ${sessionTimeoutMs} ms`,
    '',
    table(
      series.map((one) => ({
        killed: one.what,
        kills: one.kills,
        'affected runs': one.affectedRuns,
        'p50 ms': one.p50Ms,
        'p99 ms': one.p99Ms,
        'max ms': one.maxMs,
        'first run p50 ms': one.firstP50Ms,
        'first run p99 ms': one.firstP99Ms,
      })),
    ),
  ].join('\n')
