import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { percentile, runLoad } from './load.ts'

describe('the load', () => {
  it('takes percentiles by nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, index) => index + 1)
    expect([percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)]).toEqual([50, 99, 100])
    expect(percentile([], 0.5)).toBeNaN()
  })

  it('keeps so many workflows open and counts those that end in the measured time', async () => {
    let open = 0
    let mostOpen = 0
    let ended = 0
    const row = await runLoad({
      concurrency: 4,
      stepsPerWorkflow: 10,
      warmupMs: 30,
      measureMs: 120,
      runWorkflow: async () => {
        mostOpen = Math.max(mostOpen, ++open)
        await delay(5)
        open--
        ended++
      },
    })
    expect(mostOpen).toBe(4)
    expect(row.workflows).toBeGreaterThan(0)
    expect(row.workflows).toBeLessThan(ended)
    expect(Math.abs(row.stepsPerSecond / ((row.workflows * 10) / row.seconds) - 1)).toBeLessThan(0.1)
  })

  it('goes on beyond the measured time until enough has ended', async () => {
    const row = await runLoad({
      concurrency: 5,
      stepsPerWorkflow: 1,
      warmupMs: 0,
      measureMs: 1,
      runWorkflow: () => delay(20),
    })
    expect(row.workflows).toBeGreaterThanOrEqual(15)
    expect(row.p50Ms).toBeGreaterThan(15)
  })
})
