import type { RecordedSum } from '@omium/schemas'
import type { RecordedStep } from './history.ts'

/** What steps took together. What was taken over cost its own run nothing. */
export const sumOf = (
  steps: readonly Pick<RecordedStep, 'kind' | 'usage' | 'startedAt' | 'durationMs'>[],
): RecordedSum => {
  const sum = { steps: steps.length, modelCalls: 0, inputTokens: 0, outputTokens: 0, costMicroCredits: 0 }
  for (const { kind, usage } of steps) {
    if (kind === 'llm') sum.modelCalls++
    sum.inputTokens += usage.inputTokens ?? 0
    sum.outputTokens += usage.outputTokens ?? 0
    sum.costMicroCredits += usage.costMicroCredits ?? 0
  }
  return { ...sum, durationMs: busyMs(steps) }
}

/** The length of the union of the steps' times: what runs side by side counts once, pauses do not count. */
export const busyMs = (steps: readonly Pick<RecordedStep, 'startedAt' | 'durationMs'>[]): number => {
  const intervals = steps
    .map(({ startedAt, durationMs }) => [startedAt, startedAt + durationMs] as const)
    .sort(([a], [b]) => a - b)
  let total = 0
  let end = Number.NEGATIVE_INFINITY
  for (const [from, to] of intervals) {
    if (to <= end) continue
    total += to - Math.max(from, end)
    end = to
  }
  return total
}
