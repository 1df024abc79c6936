import { setTimeout as delay } from 'node:timers/promises'
import { stepsPerWorkflow } from './agents.ts'
import type { Flags } from './flags.ts'
import { type LoadRow, runLoad } from './load.ts'
import { heapUsedMiB, residentMiB } from './measures.ts'
import { startBenchStack, startBenchWorker } from './stack.ts'
import { viaGateway, viaLog } from './starters.ts'
import { table } from './table.ts'

export interface MemoryTrend {
  readonly process: string
  readonly startMiB: number
  readonly endMiB: number
  readonly maxMiB: number
  /** least-squares slope over the second half, when caches and heaps have settled */
  readonly slopeMiBPerHour: number
  /** the smallest used heap seen in each quarter of the time: what lives once garbage is gone. Empty for what is no service */
  readonly heapFloorsMiB: readonly number[]
}

export interface SoakResult {
  readonly load: LoadRow
  readonly samples: number
  readonly memory: readonly MemoryTrend[]
}

/** Constant load for so many minutes; the memory of every process over time. */
export const benchSoak = async (flags: Flags, say: (line: string) => void): Promise<SoakResult> => {
  const stack = await startBenchStack({ fsync: flags.fsync, services: 'platform', say })
  try {
    const worker = await startBenchWorker(stack, 'worker')
    const starter = flags.via === 'log' ? await viaLog(stack) : viaGateway(stack)
    const pids = new Map([...stack.pids(), ['worker', worker.pid], ['client', process.pid]])
    const measureMs = flags.minutes * 60_000
    const everyMs = Math.min(5000, measureMs / 20)
    const metricsPorts = {
      'execution-engine': stack.environment['OMIUM_ENGINE_PORT'],
      projections: stack.environment['OMIUM_PROJECTIONS_PORT'],
      gateway: stack.environment['OMIUM_GATEWAY_PORT'],
    }
    const samples: Sample[] = []
    const done = new AbortController()
    const sampling = (async () => {
      await delay(flags.warmupMs)
      while (!done.signal.aborted) {
        const heaps: Record<string, number> = {}
        for (const [name, port] of Object.entries(metricsPorts)) {
          const used = await heapUsedMiB(port)
          if (used !== undefined) heaps[name] = used
        }
        samples.push({ at: performance.now(), sizes: residentMiB(pids), heaps })
        if (samples.length % 12 === 0) say(`sample ${samples.length}: ${JSON.stringify(samples.at(-1)?.sizes)}`)
        await delay(everyMs, undefined, { signal: done.signal }).catch(() => {})
      }
    })()
    const concurrency = flags.concurrency[0] ?? 50
    const load = await runLoad({
      concurrency,
      stepsPerWorkflow,
      warmupMs: flags.warmupMs,
      measureMs,
      runWorkflow: starter.run,
    })
    done.abort()
    await sampling
    await starter.close()
    return { load, samples: samples.length, memory: [...pids.keys()].map((name) => trendOf(name, samples)) }
  } finally {
    await stack.stop()
  }
}

interface Sample {
  readonly at: number
  readonly sizes: Record<string, number>
  readonly heaps: Record<string, number>
}

const trendOf = (name: string, samples: readonly Sample[]): MemoryTrend => {
  const points = samples.flatMap(({ at, sizes }) =>
    sizes[name] === undefined ? [] : [{ x: at / 3_600_000, y: sizes[name] }],
  )
  const sizes = points.map(({ y }) => y)
  return {
    process: name,
    startMiB: sizes[0] ?? 0,
    endMiB: sizes.at(-1) ?? 0,
    maxMiB: Math.max(0, ...sizes),
    slopeMiBPerHour: Math.round(slope(points.slice(Math.floor(points.length / 2)))),
    heapFloorsMiB: floors(samples.flatMap(({ heaps }) => heaps[name] ?? [])),
  }
}

/** The smallest value in each quarter of a list; empty for a list too short to have them. */
export const floors = (values: readonly number[]): number[] => {
  if (values.length < 4) return []
  const at = (quarter: number): number => Math.floor((values.length * quarter) / 4)
  return [0, 1, 2, 3].map((quarter) => Math.min(...values.slice(at(quarter), at(quarter + 1))))
}

/** Slope of the least-squares line; 0 for fewer than two points. */
export const slope = (points: readonly { readonly x: number; readonly y: number }[]): number => {
  const mean = (pick: (point: { x: number; y: number }) => number) =>
    points.reduce((sum, point) => sum + pick(point), 0) / Math.max(1, points.length)
  const meanX = mean(({ x }) => x)
  const meanY = mean(({ y }) => y)
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  return spread === 0 ? 0 : points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
}

export const soakText = ({ load, samples, memory }: SoakResult): string =>
  [
    `${load.concurrency} ten-step workflows at a time for ${(load.seconds / 60).toFixed(1)} minutes: ` +
      `${load.stepsPerSecond} steps/s, p50 ${load.p50Ms} ms, p99 ${load.p99Ms} ms; ${samples} samples of memory`,
    '',
    table(
      memory.map((one) => ({
        process: one.process,
        'start MiB': one.startMiB,
        'end MiB': one.endMiB,
        'max MiB': one.maxMiB,
        'MiB/hour, second half': one.slopeMiBPerHour,
        'heap floors, MiB by quarter': one.heapFloorsMiB.join(' '),
      })),
    ),
  ].join('\n')
