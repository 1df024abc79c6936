import { expect, it } from 'vitest'
import { floors, slope } from './soak.ts'

it('fits a line', () => {
  expect(slope([0, 1, 2, 3].map((x) => ({ x, y: 100 + 5 * x })))).toBeCloseTo(5)
  expect(slope([{ x: 1, y: 1 }])).toBe(0)
})

it('finds what is left of a sawtooth in each quarter', () => {
  expect(floors([10, 90, 20, 80, 30, 95, 30, 70])).toEqual([10, 20, 30, 30])
  expect(floors([1, 2, 3])).toEqual([])
})
