import type { BreakerState } from './breaker.ts'

/** The breakers of this process, for its metrics: like the process's memory they are read where they are shown. */

const worst: readonly BreakerState[] = ['closed', 'half-open', 'open']
const watched = new Map<() => BreakerState, string>()

/** @param target a name out of few: it becomes a label. @returns ends it */
export const watchBreaker = (target: string, state: () => BreakerState): (() => void) => {
  watched.set(state, target)
  return () => void watched.delete(state)
}

/** Of each target, 0 closed, 1 half open, 2 open; of several breakers for one target the worst. */
export const breakerStates = (): ReadonlyMap<string, number> => {
  const states = new Map<string, number>()
  for (const [state, target] of watched) states.set(target, Math.max(worst.indexOf(state()), states.get(target) ?? 0))
  return states
}

/** Of each target, how many of its breakers are in which state: one in a thousand that is open is not an outage. */
export const breakerCounts = (): ReadonlyMap<string, Readonly<Record<BreakerState, number>>> => {
  const counts = new Map<string, Record<BreakerState, number>>()
  for (const [state, target] of watched) {
    const of = counts.get(target) ?? { closed: 0, 'half-open': 0, open: 0 }
    of[state()]++
    counts.set(target, of)
  }
  return counts
}
