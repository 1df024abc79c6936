import { describe, expect, it } from 'vitest'
import { keptPlaces } from './places.ts'

/** The places that are left when one comes every `step` offsets up to `end`. */
const leftAfter = (end: number, step: number, every?: number): number[] => {
  let places: number[] = []
  for (let offset = step; offset <= end; offset += step) {
    places = [offset, ...places]
    const kept = keptPlaces(places, every)
    places = places.filter((place) => kept.has(place))
  }
  return places
}

describe('places', () => {
  it('are the newest two where nobody looks at the past', () => {
    expect(leftAfter(10_000, 10)).toEqual([10_000, 9_990])
  })

  it('are few, however long the log, and never further before an offset than half of what follows', () => {
    const [every, step, end] = [1_000, 100, 1_000_000]
    const places = leftAfter(end, step, every)
    expect(places.length).toBeLessThan(40)
    for (let offset = 0; offset < end; offset += 777) {
      const before = places.find((place) => place <= offset) ?? 0
      expect(offset - before, String(offset)).toBeLessThanOrEqual(Math.max(every, (end - before) / 2) + step)
    }
  })
})
