import { expect, it } from 'vitest'
import { createLocalAttemptLimits } from './attempt-limits.ts'

it('lets each have its share within a window, then says how long to wait', async () => {
  const clock = { nowMs: 0 }
  const limits = createLocalAttemptLimits(() => clock.nowMs)
  const take = (key: string) => limits.take(key, { attempts: 2, withinMs: 1_000 })
  await take('a')
  await take('a')
  await expect(take('a')).rejects.toMatchObject({ code: 'rate_limited', data: { retryAfterMs: 1_000 } })
  await take('b')
  clock.nowMs = 999
  await expect(take('a')).rejects.toMatchObject({ code: 'rate_limited', data: { retryAfterMs: 1 } })
  clock.nowMs = 1_000
  await take('a')
})
