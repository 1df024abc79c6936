import { expect, it } from 'vitest'
import { slope } from './soak.ts'

it('fits a line', () => {
  expect(slope([0, 1, 2, 3].map((x) => ({ x, y: 100 + 5 * x })))).toBeCloseTo(5)
  expect(slope([{ x: 1, y: 1 }])).toBe(0)
})
