import type { CompletedEffect, EffectRange, ExecutionEvent, FailureFacts, Payload } from '@omium/schemas'

/**
 * The effects that a run has made and that were not undone: the fold of its events.
 *
 * 1. An effect is made when its intent has a result. Rolling a run back unmakes nothing; a recovery that says `undone` does.
 * 2. Effects are counted from 0 in the order in which they were made, so that any part of them can be read from the log again.
 *    After a recovery that says `undone` they count from 0 again.
 * 3. What compensations have undone is told with the recovery that follows, and is never undone again.
 */
export interface Effects {
  readonly intents: Map<string, Intent>
  /** those that are remembered, oldest first */
  made: NumberedEffect[]
  /** how many there are in all, undone ones included */
  total: number
  /** ascending, disjoint */
  undone: readonly EffectRange[]
}

interface NumberedEffect {
  readonly number: number
  readonly effect: CompletedEffect
}

interface Intent {
  readonly name: string
  readonly idempotencyKey: string
  readonly input?: Payload
}

/** so many effects a compensation is told of at once */
export const effectsPerPage = 100
const maxEffectBytes = 1024

export const noEffects = (): Effects => ({ intents: new Map(), made: [], total: 0, undone: [] })

export const sizeOf = (ranges: readonly EffectRange[]): number =>
  ranges.reduce((sum, { from, to }) => sum + to - from, 0)

const within = (ranges: readonly EffectRange[], number: number): boolean =>
  ranges.some(({ from, to }) => from <= number && number < to)

export const union = (...ranges: readonly EffectRange[]): EffectRange[] => {
  const merged: EffectRange[] = []
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1)
    if (last && from <= last.to) merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, to) }
    else merged.push({ from, to })
  }
  return merged
}

/** What of a run's effects still stands, as its failure told it. */
export type Standing = Pick<FailureFacts, 'effects' | 'effectsMade' | 'effectsUndone'>

export const pagesOf = ({ effectsMade }: Standing): number => Math.ceil(effectsMade / effectsPerPage)

/** The newest effects that still stand, ascending. */
const newest = ({ effectsMade, effectsUndone = [] }: Standing, count: number): EffectRange[] => {
  const found: EffectRange[] = []
  let wanted = Math.min(effectsMade, count)
  let to = effectsMade + sizeOf(effectsUndone)
  for (const gap of [...effectsUndone].reverse().concat({ from: 0, to: 0 })) {
    const from = Math.max(gap.to, to - wanted)
    if (from < to) found.unshift({ from, to })
    wanted -= Math.max(0, to - from)
    to = gap.from
  }
  return found
}

/** The page that is undone next: what was made last is undone first. */
export const nextPage = (standing: Standing): EffectRange[] => newest(standing, effectsPerPage)

/** What still stands once these are undone, too. */
export const without = <T extends Standing>(standing: T, undone: readonly EffectRange[]): T => {
  const { effects, effectsMade, effectsUndone = [] } = standing
  if (undone.length === 0) return standing
  const all = union(...effectsUndone, ...undone)
  const numbers = newest(standing, effects.length).flatMap(({ from, to }) =>
    Array.from({ length: to - from }, (_, i) => from + i),
  )
  return {
    ...standing,
    effects: effects.filter((_, i) => !within(all, numbers[i] ?? -1)),
    effectsMade: effectsMade + sizeOf(effectsUndone) - sizeOf(all),
    effectsUndone: all,
  }
}

/** Applies an event. @param ranges those to remember; absent: the last {@link effectsPerPage} that stand */
export const noteEffects = (effects: Effects, event: ExecutionEvent, ranges?: readonly EffectRange[]): void => {
  switch (event.type) {
    case 'StepStarted': {
      const { path, name, kind, intent, input } = event.data
      // a model call's intent reserves money: nothing of it can be undone
      if (!intent || kind === 'llm') return
      const given = small(input)
      effects.intents.set(path, { name, idempotencyKey: intent.idempotencyKey, ...(given && { input: given }) })
      return
    }
    case 'StepCompleted':
      made(effects, event.data.path, event.data.input, event.data.output, ranges)
      return
    case 'StepFailed':
      if (event.data.retryAt === null) effects.intents.delete(event.data.path)
      return
    case 'StepOutcomeResolved': {
      const { path, resolution } = event.data
      if (resolution.status === 'completed') made(effects, path, undefined, resolution.output, ranges)
      if (resolution.status === 'failed') effects.intents.delete(path)
      return
    }
    case 'ExecutionRolledBack':
      effects.intents.clear()
      return
    case 'ExecutionRecovered':
      // what is undone must not be undone again for the next failure
      if (event.data.action.type === 'roll_back' && event.data.action.undone) {
        Object.assign(effects, { made: [], total: 0, undone: [] })
      } else if (event.data.effectsUndone) {
        const undone = union(...effects.undone, ...event.data.effectsUndone)
        effects.undone = undone
        effects.made = effects.made.filter(({ number }) => !within(undone, number))
      }
      return
    default:
      return
  }
}

const made = (
  effects: Effects,
  path: string,
  input: Payload | undefined,
  output: Payload,
  ranges: readonly EffectRange[] | undefined,
): void => {
  const intent = effects.intents.get(path)
  if (!intent) return
  effects.intents.delete(path)
  const number = effects.total++
  if (ranges && !within(ranges, number)) return
  const { name, idempotencyKey } = intent
  const given = intent.input ?? small(input)
  const got = small(output)
  const effect = { path, name, idempotencyKey, ...(given && { input: given }), ...(got && { output: got }) }
  effects.made.push({ number, effect })
  if (!ranges && effects.made.length > effectsPerPage) effects.made.shift()
}

const small = (payload: Payload | undefined): Payload | undefined =>
  payload && ('ref' in payload || JSON.stringify(payload).length <= maxEffectBytes) ? payload : undefined
