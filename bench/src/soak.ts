import { setTimeout as delay } from 'node:timers/promises'
import { stepsPerWorkflow } from './agents.ts'
import type { Flags } from './flags.ts'
import { openHeap } from './live-heap.ts'
import { type LoadRow, runLoad } from './load.ts'
import { residentMiB } from './measures.ts'
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
  /** the heap of a Node process right after a full collection, at the end of each quarter of the time; empty for others */
  readonly liveHeapMiB: readonly number[]
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
    const heaps = new Map(
      await Promise.all(
        ['execution-engine', 'projections', 'gateway', 'worker'].map(
          async (name) => [name, await openHeap(pids.get(name) ?? 0, stack.logOf(name))] as const,
        ),
      ),
    )
    const liveHeaps = new Map<string, number[]>([...heaps.keys()].map((name) => [name, []]))
    const collectAll = async (): Promise<void> => {
      for (const [name, heap] of heaps) liveHeaps.get(name)?.push(await heap.collectedMiB())
      say(`live heaps, MiB: ${JSON.stringify(Object.fromEntries(liveHeaps))}`)
    }
    const samples: Sample[] = []
    const done = new AbortController()
    const sampling = (async () => {
      await delay(flags.warmupMs)
      let nextQuarter = performance.now() + measureMs / 4
      while (!done.signal.aborted) {
        samples.push({ at: performance.now(), sizes: residentMiB(pids) })
        if (samples.length % 12 === 0) say(`sample ${samples.length}: ${JSON.stringify(samples.at(-1)?.sizes)}`)
        if (performance.now() >= nextQuarter) {
          nextQuarter += measureMs / 4
          await collectAll()
        }
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
    await collectAll()
    for (const heap of heaps.values()) heap.close()
    await starter.close()
    return {
      load,
      samples: samples.length,
      memory: [...pids.keys()].map((name) => trendOf(name, samples, liveHeaps.get(name))),
    }
  } finally {
    await stack.stop()
  }
}

interface Sample {
  readonly at: number
  readonly sizes: Record<string, number>
}

const trendOf = (name: string, samples: readonly Sample[], liveHeapMiB: readonly number[] = []): MemoryTrend => {
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
    liveHeapMiB,
  }
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
        'live heap, MiB by quarter': one.liveHeapMiB.join(' '),
      })),
    ),
  ].join('\n')
