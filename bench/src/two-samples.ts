/** Whether two samples of durations differ: by rank (Mann-Whitney) and by the difference of their medians (bootstrap). */

export interface Comparison {
  readonly medianA: number
  readonly medianB: number
  /** of the medians, B minus A, in the unit of the samples */
  readonly difference: number
  /** that 99 of 100 resamplings give */
  readonly interval: readonly [number, number]
  /** of the ranks, two-sided: how often samples of one distribution would be so far apart */
  readonly p: number
  /** both agree that they do: a row that says so by chance comes about once in a thousand */
  readonly differs: boolean
}

const resamplings = 2_000
const smallestP = 0.001

export const median = (values: readonly number[]): number => {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** Uniform in [0, 1), the same sequence for the same seed (mulberry32). */
export const seeded = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** 1 - Phi(z), by the complementary error function (Numerical Recipes, 6.2: relative error below 1.2e-7). */
const upperTail = (z: number): number => {
  const x = Math.abs(z) / Math.SQRT2
  const t = 1 / (1 + x / 2)
  const terms = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277,
  ]
  const exponent = terms.reduceRight((sum, term) => sum * t + term, 0) - x * x
  return (t * Math.exp(exponent)) / 2
}

/** Two-sided p of the Mann-Whitney U test: normal approximation with the correction for ties; for tens of values and more. */
export const mannWhitney = (a: readonly number[], b: readonly number[]): number => {
  const all = [...a.map((value) => ({ value, inA: true })), ...b.map((value) => ({ value, inA: false }))]
  all.sort((x, y) => x.value - y.value)
  let ranksOfA = 0
  let ties = 0
  for (let from = 0; from < all.length; ) {
    let to = from
    while (all[to + 1]?.value === all[from]?.value) to++
    const count = to - from + 1
    ties += count ** 3 - count
    for (let i = from; i <= to; i++) if (all[i]?.inA) ranksOfA += (from + to) / 2 + 1
    from = to + 1
  }
  const [n, m] = [a.length, b.length]
  const u = ranksOfA - (n * (n + 1)) / 2
  const variance = ((n * m) / 12) * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
  return variance > 0 ? 2 * upperTail((u - (n * m) / 2) / Math.sqrt(variance)) : 1
}

/** @param pairs taken one beside the other, so that what changes over time changes both; resampled together */
export const compare = (pairs: readonly (readonly [a: number, b: number])[], seed = 1): Comparison => {
  const random = seeded(seed)
  const difference = (of: typeof pairs) => median(of.map(([, b]) => b)) - median(of.map(([a]) => a))
  const differences = Array.from({ length: resamplings }, () =>
    difference(pairs.map(() => pairs[Math.floor(random() * pairs.length)] as readonly [number, number])),
  ).sort((x, y) => x - y)
  const at = (share: number) => differences[Math.round(share * (resamplings - 1))] as number
  const interval = [at(0.005), at(0.995)] as const
  const [a, b] = [pairs.map(([one]) => one), pairs.map(([, other]) => other)]
  const p = mannWhitney(a, b)
  return {
    medianA: median(a),
    medianB: median(b),
    difference: difference(pairs),
    interval,
    p,
    differs: p < smallestP && (interval[0] > 0 || interval[1] < 0),
  }
}
