import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from './testing.ts'
import { TimerQueue } from './timer-queue.ts'

describe('a timer queue', () => {
  it('fires everything, in order, never early, behind one timer', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(100)), (times) => {
        const clock = new ManualClock()
        const fired: { at: number; now: number; index: number }[] = []
        const queue = new TimerQueue<{ at: number; index: number }>(clock, (item) =>
          fired.push({ ...item, now: clock.nowMs() }),
        )
        for (const [index, at] of times.entries()) queue.add(at, { at, index })
        expect(clock.armed).toBeLessThanOrEqual(1)
        clock.goTo(100)
        expect(fired.map((f) => [f.at, f.index])).toEqual(
          times.map((at, index) => [at, index]).sort((a, b) => a[0]! - b[0]! || a[1]! - b[1]!),
        )
        for (const f of fired) expect(f.now).toBeGreaterThanOrEqual(f.at)
        expect(clock.armed).toBe(0)
      }),
    )
  })

  it('can be added to while it fires', () => {
    const clock = new ManualClock()
    const fired: number[] = []
    const queue: TimerQueue<number> = new TimerQueue(clock, (n) => {
      fired.push(n)
      if (n < 5) queue.add(clock.nowMs() + 10, n + 1)
    })
    queue.add(0, 1)
    clock.goTo(100)
    expect(fired).toEqual([1, 2, 3, 4, 5])
  })

  it('forgets what is taken out and keeps the order of the rest', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50)), (times) => {
        const clock = new ManualClock()
        const fired: number[] = []
        const queue = new TimerQueue<number>(clock, (at) => fired.push(at))
        for (const at of times) queue.add(at, at)
        queue.removeWhere((at) => at % 2 === 0)
        clock.goTo(50)
        expect(fired).toEqual(times.filter((at) => at % 2 === 1).sort((a, b) => a - b))
      }),
    )
  })

  it('waits longer than a timer of the event loop can', () => {
    const clock = new ManualClock()
    const fired: number[] = []
    const queue = new TimerQueue<number>(clock, (n) => fired.push(n))
    const inSixtyDays = 60 * 86_400_000
    queue.add(inSixtyDays, 1)
    clock.goTo(inSixtyDays - 1)
    expect(fired).toEqual([])
    clock.goTo(inSixtyDays)
    expect(fired).toEqual([1])
  })
})
