import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mayExceed } from './size.ts'

describe('the size check of messages', () => {
  it('never lets a large value pass as small', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(500), (value, limit) => {
        const bytes = Buffer.byteLength(JSON.stringify(value))
        if (bytes > limit) expect(mayExceed(value, limit)).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })
  it('knows small values', () => {
    expect(mayExceed({ type: 'step_completed', output: { a: [1, 2, 3], b: 'text' } }, 1000)).toBe(false)
  })
})
