/**
 * The load of every system measured here, so that all are measured alike: a closed loop of `concurrency` callers, each of
 * which starts a workflow, waits for its result and starts the next.
 *
 * 1. Warm-up lasts at least `warmupMs`, and until as many workflows as there are callers have ended.
 * 2. The measured time lasts at least `measureMs`, and until three times as many have ended, but no longer than a minute
 *    (or `measureMs`).
 * 3. Counted are the workflows that end in the measured time.
 */
export interface LoadOptions {
  readonly concurrency: number
  readonly stepsPerWorkflow: number
  readonly warmupMs: number
  readonly measureMs: number
  /** Runs one workflow to its result. */
  readonly runWorkflow: () => Promise<unknown>
}

export interface LoadRow {
  readonly concurrency: number
  readonly workflows: number
  /** measured time, as it was */
  readonly seconds: number
  readonly stepsPerSecond: number
  /** from start to result as the caller sees it */
  readonly p50Ms: number
  readonly p99Ms: number
}

const roundsMeasured = 3
const longestMs = 60_000

export const runLoad = async (options: LoadOptions): Promise<LoadRow> => {
  const { concurrency, stepsPerWorkflow, warmupMs, measureMs, runWorkflow } = options
  const warmUntil = performance.now() + warmupMs
  const durations: number[] = []
  let warm = 0
  let measureFrom: number | undefined
  let stoppedAt: number | undefined
  const ended = (begin: number, end: number): void => {
    if (measureFrom === undefined) {
      if (++warm >= concurrency && end >= warmUntil) measureFrom = end
      return
    }
    if (stoppedAt !== undefined) return
    durations.push(end - begin)
    const took = end - measureFrom
    if (
      (took >= measureMs && durations.length >= roundsMeasured * concurrency) ||
      took >= Math.max(longestMs, measureMs)
    )
      stoppedAt = end
  }
  const caller = async (): Promise<void> => {
    while (stoppedAt === undefined) {
      const begin = performance.now()
      try {
        await runWorkflow()
      } catch (error) {
        // the other callers must not go on for ever
        stoppedAt = performance.now()
        throw error
      }
      ended(begin, performance.now())
    }
  }
  await Promise.all(Array.from({ length: concurrency }, caller))
  durations.sort((a, b) => a - b)
  const seconds = ((stoppedAt ?? 0) - (measureFrom ?? 0)) / 1000
  return {
    concurrency,
    workflows: durations.length,
    seconds: round(seconds),
    stepsPerSecond: Math.round((durations.length * stepsPerWorkflow) / seconds),
    p50Ms: round(percentile(durations, 0.5)),
    p99Ms: round(percentile(durations, 0.99)),
  }
}

/** Nearest-rank percentile of sorted values; NaN when there are none. */
export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN

const round = (value: number): number => Math.round(value * 100) / 100
