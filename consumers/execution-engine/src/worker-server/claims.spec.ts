import { describe, expect, it } from 'vitest'
import { claimsOn } from './claims.ts'

const child = (executionId: string) => ({ type: 'child_start', executionId })

describe('the claims of a frame', () => {
  it('are counted for each run, from each message on', () => {
    const reserve = { type: 'step_started', executionId: 'a', intent: { reserveMicroCredits: 5 } }
    expect(claimsOn([child('a'), child('b'), reserve, child('a')])).toEqual([3, 1, 2, 1])
  })
  it('are of requests that cost something', () => {
    const free = { type: 'step_started', executionId: 'a', intent: { reserveMicroCredits: 0 } }
    expect(claimsOn([child('a'), free, { type: 'step_completed', executionId: 'a' }])).toEqual([1, 0, 0])
  })
  it('do not matter in a frame without children, whatever else is in it', () => {
    expect(claimsOn([null, 7, 'x', { type: 'step_started', executionId: 'a', intent: {} }])).toBeNull()
    expect(claimsOn([null, 7, child('a')])).toEqual([0, 0, 1])
  })
})
