import { expect, it } from 'vitest'
import { createLocalAttemptLimits, createRedisAttemptLimits } from './attempt-limits.ts'

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

it('lets nobody try while nobody can count', async () => {
  const limits = createRedisAttemptLimits('redis://127.0.0.1:1', 'spec', () => undefined)
  try {
    await expect(limits.take('a', { attempts: 2, withinMs: 1_000 })).rejects.toMatchObject({ code: 'unavailable' })
  } finally {
    limits.close()
  }
})
