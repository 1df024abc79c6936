import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accessTokenMs } from './access-tokens.ts'
import {
  believedAfterMs,
  dueKey,
  isBelieved,
  type KeyTimes,
  publishedAheadMs,
  signingKey,
  signsForMs,
} from './key-schedule.ts'

describe('the schedule of signing keys', () => {
  it('makes the first key at once, and the next one ahead of its time', () => {
    const first = dueKey([], 1_000) as KeyTimes
    expect(first).toEqual({ signsFrom: 1_000, signsUntil: 1_000 + signsForMs })
    expect(dueKey([first], first.signsUntil - publishedAheadMs - 1)).toBeUndefined()
    const second = dueKey([first], first.signsUntil - publishedAheadMs)
    expect(second?.signsFrom).toBe(first.signsUntil)
  })
  it('believes a key for longer than what it signed last lives', () => {
    expect(believedAfterMs).toBeGreaterThan(2 * accessTokenMs)
    const key = { signsFrom: 0, signsUntil: 10 }
    expect(isBelieved(key, 10 + believedAfterMs - 1)).toBe(true)
    expect(isBelieved(key, 10 + believedAfterMs)).toBe(false)
  })
  it('has one signer at every moment, published a day before unless it is the first', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: publishedAheadMs }), { minLength: 1, maxLength: 200 }),
        (steps) => {
          const keys: (KeyTimes & { madeAt: number })[] = []
          let now = 0
          for (const step of steps) {
            const due = dueKey(keys, now)
            if (due) keys.push({ ...due, madeAt: now })
            const signer = signingKey(keys, now) as (typeof keys)[number]
            expect(signer).toBeDefined()
            expect(isBelieved(signer, now)).toBe(true)
            now += step
          }
        },
      ),
      { seed: 11 },
    )
  })
})
