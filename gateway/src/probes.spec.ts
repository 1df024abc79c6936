import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createProbe } from './probes.ts'

describe('a probe', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const probing = () => {
    const asked: PromiseWithResolvers<void>[] = []
    const ask = () => {
      const answer = Promise.withResolvers<void>()
      asked.push(answer)
      return answer.promise
    }
    return { asked, probe: createProbe('the store', ask, { nowMs: () => Date.now(), timeoutMs: 2000 }) }
  }

  it('asks once a second, for all who ask', async () => {
    const { asked, probe } = probing()
    const answers = [probe(), probe()]
    asked[0]?.resolve()
    expect(await Promise.all(answers)).toEqual([null, null])
    expect(await probe()).toBe(null)
    expect(asked).toHaveLength(1)
    vi.advanceTimersByTime(1000)
    const next = probe()
    asked[1]?.reject(new Error('refused'))
    expect(await next).toBe('the store cannot be reached')
  })

  it('waits so long, and asks nothing anew until what hangs has answered', async () => {
    const { asked, probe } = probing()
    const first = probe()
    vi.advanceTimersByTime(2000)
    expect(await first).toBe('the store does not answer')
    vi.advanceTimersByTime(10_000)
    expect(await probe()).toBe('the store does not answer')
    expect(asked).toHaveLength(1)
    asked[0]?.resolve()
    await vi.advanceTimersByTimeAsync(0)
    const again = probe()
    asked[1]?.resolve()
    expect(await again).toBe(null)
  })
})
