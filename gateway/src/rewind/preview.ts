import { OmiumError, type RewindPreview } from '@omium/schemas'
import type { RecordedStep, RunHistory } from './history.ts'
import { sumOf } from './sums.ts'

const mostSteps = 1000

/**
 * How many of the steps stay when the run goes back to `toPath`.
 * @throws OmiumError `step_unknown` when nothing was recorded there
 */
export const keptCount = ({ record, steps }: RunHistory, toPath: string | null): number => {
  if (toPath === null) return 0
  const index = steps.findIndex(({ path }) => path === toPath)
  if (index < 0) throw new OmiumError('step_unknown', `execution ${record.id} has recorded no result at ${toPath}`)
  return index + 1
}

/** Where a fork begins: as told, else after the last edited result, else after everything. */
export const forkPoint = (
  history: RunHistory,
  toPath: string | null | undefined,
  edited: readonly string[],
): string | null => {
  if (toPath !== undefined) return toPath
  if (edited.length === 0) return history.steps.at(-1)?.path ?? null
  const counts = edited.map((path) => keptCount(history, path))
  return history.steps[Math.max(...counts) - 1]?.path ?? null
}

/** @param kept the first so many steps stay */
export const previewOf = (
  history: RunHistory,
  kept: number,
  { edited = [], cancelsChildren }: { edited?: readonly string[]; cancelsChildren: boolean },
): RewindPreview => {
  const again = history.steps.slice(kept)
  return {
    toPath: history.steps[kept - 1]?.path ?? null,
    kept: sumOf(history.steps.slice(0, kept)),
    again: sumOf(again),
    steps: again.slice(0, mostSteps).map(viewOf),
    effects: again.filter(({ effect }) => effect).map(({ path, name }) => ({ path, name })),
    children: cancelsChildren
      ? history.open.flatMap(({ path, childId }) => (childId === undefined ? [] : [{ path, executionId: childId }]))
      : [],
    edited: [...edited],
  }
}

const viewOf = ({ path, name, kind, effect, usage, durationMs }: RecordedStep) => ({
  path,
  name,
  kind,
  effect,
  costMicroCredits: usage.costMicroCredits ?? 0,
  durationMs,
})
