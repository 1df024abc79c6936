/**
 * The load of every system measured here, so that all are measured alike: a closed loop of `concurrency` callers, each of
 * which starts a workflow, waits for its result and starts the next. Workflows that end during the warm-up, or after the
 * measured time, are not counted.
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
  /** measured time */
  readonly seconds: number
  readonly stepsPerSecond: number
  /** from start to result as the caller sees it */
  readonly p50Ms: number
  readonly p99Ms: number
}

export const runLoad = async (options: LoadOptions): Promise<LoadRow> => {
  const { concurrency, stepsPerWorkflow, warmupMs, measureMs, runWorkflow } = options
  const measureFrom = performance.now() + warmupMs
  const stopAt = measureFrom + measureMs
  const durations: number[] = []
  const caller = async (): Promise<void> => {
    while (performance.now() < stopAt) {
      const begin = performance.now()
      await runWorkflow()
      const end = performance.now()
      if (end >= measureFrom && end <= stopAt) durations.push(end - begin)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, caller))
  durations.sort((a, b) => a - b)
  const seconds = measureMs / 1000
  return {
    concurrency,
    workflows: durations.length,
    seconds,
    stepsPerSecond: Math.round((durations.length * stepsPerWorkflow) / seconds),
    p50Ms: round(percentile(durations, 0.5)),
    p99Ms: round(percentile(durations, 0.99)),
  }
}

/** Nearest-rank percentile of sorted values; NaN when there are none. */
export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN

const round = (value: number): number => Math.round(value * 100) / 100
