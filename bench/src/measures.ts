import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchStack } from './stack.ts'

/** Resident memory by process name, MiB; processes that have ended are left out. Linux only, elsewhere empty. */
export const residentMiB = (pids: ReadonlyMap<string, number>): Record<string, number> => {
  const sizes: Record<string, number> = {}
  for (const [name, pid] of pids) {
    try {
      const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
      if (kib !== undefined) sizes[name] = Math.round(Number(kib) / 1024)
    } catch {
      // ended, or no /proc on this system
    }
  }
  return sizes
}

export interface ProjectionLag {
  /** records behind the end of the log, when asked */
  readonly records: number
  /** from then until nothing was missing, ms; undefined when that took more than a minute */
  readonly caughtUpAfterMs: number | undefined
}

const projectionMetric = async (stack: BenchStack, name: string): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${stack.environment['OMIUM_PROJECTIONS_PORT']}/metrics`)).text()
  const samples = text.matchAll(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'gm'))
  return [...samples].reduce((sum, [, value]) => sum + Number(value), 0)
}

/** Events that the projection process has applied since it started. */
export const projectedEvents = (stack: BenchStack): Promise<number> =>
  projectionMetric(stack, 'omium_projection_events_total')

/** Asks the projection process how far it is behind the end that it last saw, and how long it takes to catch up. */
export const projectionLag = async (stack: BenchStack): Promise<ProjectionLag> => {
  const lag = () => projectionMetric(stack, 'omium_projection_lag_records')
  const begin = performance.now()
  const records = await lag()
  for (let left = records; left > 0; left = await lag()) {
    if (performance.now() - begin > 60_000) return { records, caughtUpAfterMs: undefined }
    await delay(20)
  }
  return { records, caughtUpAfterMs: Math.round(performance.now() - begin) }
}
