import { describe, expect, it } from 'vitest'
import { compare, mannWhitney, median, seeded } from './two-samples.ts'

/** durations as they are measured: a few milliseconds, and now and then a pause of the machine */
const sample = (random: () => number, more: number): number =>
  4 + more + random() + (random() < 0.05 ? 40 * random() : 0)
const pairs = (seed: number, more: number, count: number) => {
  const random = seeded(seed)
  return Array.from({ length: count }, () => [sample(random, 0), sample(random, more)] as const)
}

describe('two samples', () => {
  it('have medians, and ranks as in the textbook', () => {
    expect([median([3, 1, 2]), median([4, 1, 3, 2])]).toEqual([2, 2.5])
    // Hollander & Wolfe, example 4.1: W = 35 of five and ten values, normal approximation
    const early = [0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    const late = [1.15, 0.88, 0.9, 0.74, 1.21]
    expect(mannWhitney(early, late)).toBeCloseTo(0.2207, 3)
    expect(mannWhitney([1, 1], [1, 1])).toBe(1)
  })
  it('of one distribution do not differ, whatever pauses there are', () => {
    const found = [1, 2, 3].map((seed) => compare(pairs(seed, 0, 60)).differs)
    expect(found).toEqual([false, false, false])
  })
  it('that are a third of a millisecond apart do', () => {
    const found = compare(pairs(7, 0.3, 120))
    expect(found).toMatchObject({ differs: true })
    expect(found.difference).toBeCloseTo(0.3, 0)
    expect(found.interval[0]).toBeGreaterThan(0)
  })
})
