import { describe, expect, it } from 'vitest'
import { createLocalBuckets } from './buckets.ts'
import { Slots } from './slots.ts'
import { createTenantLimits } from './tenants.ts'

const never = new AbortController().signal
const clock = () => {
  const state = { now: 1_000 }
  return { state, buckets: createLocalBuckets(() => state.now) }
}
const requests = (key: string, amount = 1, perMinute = 60) => ({ key, perMinute, amount })

describe('buckets', () => {
  it('hold a minute, and fill as time goes', async () => {
    const { state, buckets } = clock()
    expect(await buckets.take([requests('a', 60)])).toBe(0)
    expect(await buckets.take([requests('a')])).toBe(1000)
    state.now += 1000
    expect(await buckets.take([requests('a')])).toBe(0)
  })

  it('take from all or from none', async () => {
    const { buckets } = clock()
    await buckets.take([requests('b', 60)])
    expect(await buckets.take([requests('a', 60), requests('b', 2)])).toBe(2000)
    expect(await buckets.take([requests('a', 60)])).toBe(0)
  })

  it('go into debt when a call took more, and give back what it did not', async () => {
    const { buckets } = clock()
    await buckets.take([requests('a', 10)])
    buckets.settle([requests('a', 80)])
    expect(await buckets.take([requests('a')])).toBe(31_000)
    buckets.settle([requests('a', -500)])
    expect(await buckets.take([requests('a', 60)])).toBe(0)
  })

  it('let a call through that is larger than a minute, from a full bucket', async () => {
    const { buckets } = clock()
    expect(await buckets.take([requests('a', 1000)])).toBe(0)
    expect(await buckets.take([requests('a')])).toBeGreaterThan(900_000)
  })
})

describe('slots', () => {
  it('are given in order of arrival, and waiting is bounded', async () => {
    const slots = new Slots('x', 1, 2, 'model_overloaded')
    const order: string[] = []
    const first = await slots.take(never)
    const second = slots.take(never).then((release) => {
      order.push('second')
      return release
    })
    const third = slots.take(never).then((release) => {
      order.push('third')
      return release
    })
    await expect(slots.take(never)).rejects.toMatchObject({ code: 'model_overloaded', data: { retryAfterMs: 1000 } })
    first()
    first()
    const release = await second
    expect(order).toEqual(['second'])
    release()
    ;(await third)()
    expect([slots.taken, slots.waiting]).toEqual([0, 0])
  })

  it('are not kept for who goes away', async () => {
    const slots = new Slots('x', 1, 2, 'model_overloaded')
    const release = await slots.take(never)
    const gone = new AbortController()
    const waiting = slots.take(gone.signal)
    gone.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    release()
    expect([slots.taken, slots.waiting]).toEqual([0, 0])
  })
})

describe('limits of tenants', () => {
  it('are their own', async () => {
    const { buckets } = clock()
    const limits = createTenantLimits(
      { tenant: { requestsPerMinute: 1 }, tenants: { big: { requestsPerMinute: 2 } } },
      buckets,
    )
    await limits.admit('a', 1, never)
    await expect(limits.admit('a', 1, never)).rejects.toMatchObject({
      code: 'rate_limited',
      data: { retryAfterMs: 60_000 },
    })
    await limits.admit('b', 1, never)
    await limits.admit('big', 1, never)
    await limits.admit('big', 1, never)
    await expect(limits.admit('big', 1, never)).rejects.toMatchObject({ code: 'rate_limited' })
  })

  it('count the tokens that were really taken', async () => {
    const { buckets } = clock()
    const limits = createTenantLimits({ tenant: { tokensPerMinute: 1000 }, tenants: {} }, buckets)
    const done = await limits.admit('a', 900, never)
    await expect(limits.admit('a', 900, never)).rejects.toMatchObject({ code: 'rate_limited' })
    done(10)
    await limits.admit('a', 900, never)
  })
})
