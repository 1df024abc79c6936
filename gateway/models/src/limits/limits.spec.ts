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

/** A stream of numbers in [0, 1), the same for one seed (mulberry32). */
const seeded = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}

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

describe('buckets that tenants share', () => {
  /** Each tries as often as it says, again after what it is told to wait, for ten minutes. @returns what each got a minute */
  const contend = async (asks: Readonly<Record<string, number>>, perMinute = 120, amount = 1) => {
    const { state, buckets } = clock()
    const random = seeded(7)
    const got: Record<string, number> = {}
    const refused: Record<string, number> = {}
    const next = Object.keys(asks).map((who) => ({ who, at: state.now }))
    const end = state.now + 600_000
    for (;;) {
      next.sort((a, b) => b.at - a.at)
      const turn = next.pop() as (typeof next)[number]
      if (turn.at > end) break
      state.now = turn.at
      const wait = await buckets.take([{ key: 'p', perMinute, amount, who: turn.who }])
      const counts = wait > 0 ? refused : got
      counts[turn.who] = (counts[turn.who] ?? 0) + 1
      const pause = (random() * 2 * 60_000) / (asks[turn.who] as number)
      next.push({ who: turn.who, at: state.now + Math.max(wait, pause) })
    }
    const perMinuteOf = (who: string) => ((got[who] ?? 0) * amount) / 10
    return { perMinuteOf, refused: (who: string) => refused[who] ?? 0, got: (who: string) => got[who] ?? 0 }
  }

  it('serve one who asks now and then beside one who floods them, and what it leaves is not idle', async () => {
    const { perMinuteOf, refused, got } = await contend({ flood: 3_000, calm: 12 })
    expect(refused('calm')).toBe(0)
    expect(got('calm')).toBeGreaterThan(90)
    expect(perMinuteOf('flood') + perMinuteOf('calm')).toBeGreaterThan(115)
  })

  it('go in equal parts to those who all want more', async () => {
    const { perMinuteOf } = await contend({ a: 6_000, b: 600, c: 300 })
    const parts = ['a', 'b', 'c'].map(perMinuteOf)
    expect(parts.reduce((sum, one) => sum + one, 0)).toBeGreaterThan(115)
    for (const part of parts) expect(Math.abs(part - 44)).toBeLessThan(10)
  })

  it('are one’s own while nobody else asks', async () => {
    const { perMinuteOf } = await contend({ alone: 6_000 })
    expect(perMinuteOf('alone')).toBeGreaterThan(125)
  })

  it('hold for calls that are a large part of them', async () => {
    const { perMinuteOf, refused, got } = await contend({ flood: 3_000, calm: 2 }, 100, 20)
    expect(perMinuteOf('flood')).toBeGreaterThan(60)
    // one call is kept ready: only the next one at its heels has to wait
    expect(refused('calm')).toBeLessThan(got('calm') / 4)
  })
})

describe('slots', () => {
  it('are given in order of arrival, and waiting is bounded', async () => {
    const slots = new Slots('x', 1, 2, 'model_overloaded')
    const order: string[] = []
    const first = await slots.take('a', never)
    const second = slots.take('a', never).then((release) => {
      order.push('second')
      return release
    })
    const third = slots.take('a', never).then((release) => {
      order.push('third')
      return release
    })
    await expect(slots.take('a', never)).rejects.toMatchObject({
      code: 'model_overloaded',
      data: { retryAfterMs: 1000 },
    })
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
    const release = await slots.take('a', never)
    const gone = new AbortController()
    const waiting = slots.take('a', gone.signal)
    gone.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    release()
    expect([slots.taken, slots.waiting]).toEqual([0, 0])
  })
})

/** what was promised has happened */
const settled = () => new Promise(setImmediate)

describe('slots that tenants share', () => {
  const granted = (slots: Slots, who: string, order: string[]) =>
    slots.take(who, never).then(
      (release) => {
        order.push(who)
        return release
      },
      () => {
        order.push(`${who} refused`)
        return () => undefined
      },
    )

  it('go to whoever holds fewest, in turn between equals', async () => {
    const slots = new Slots('x', 2, 100, 'model_overloaded')
    const order: string[] = []
    const asked = ['a', 'a', 'a', 'a', 'a', 'b', 'b', 'c'].map((who) => granted(slots, who, order))
    const releases: (() => void)[] = []
    for (const one of asked) void one.then((release) => releases.push(release))
    for (let i = 0; i < asked.length; i++) {
      await settled()
      releases.shift()?.()
    }
    expect(order).toEqual(['a', 'a', 'b', 'a', 'c', 'b', 'a', 'a'])
    expect([slots.taken, slots.waiting]).toEqual([0, 0])
  })

  it('have a queue of which nobody can keep more than an equal part from the others', async () => {
    const slots = new Slots('x', 1, 4, 'model_overloaded')
    const order: string[] = []
    const asked = ['a', 'a', 'a', 'a', 'a', 'a'].map((who) => granted(slots, who, order))
    await settled()
    expect(order).toEqual(['a', 'a refused'])
    asked.push(...['b', 'b', 'b'].map((who) => granted(slots, who, order)))
    await settled()
    expect(order.slice(2)).toEqual(['b refused', 'a refused', 'a refused'])
    expect(slots.waiting).toBe(4)
    for (const one of asked) void one.then((release) => release())
    await Promise.all(asked)
    expect([slots.taken, slots.waiting]).toEqual([0, 0])
  })

  it.each([1, 2, 3, 4, 5])('serve one who asks now and then beside one who floods them (seed %i)', async (seed) => {
    const random = seeded(seed)
    const slots = new Slots('x', 4, 20, 'model_overloaded')
    const waits = { flood: [] as number[], calm: [] as number[] }
    const refused = { flood: 0, calm: 0 }
    let now = 0
    const timeline: { at: number; run: () => void }[] = []
    const later = (ms: number, run: () => void) => timeline.push({ at: now + ms, run })
    const arrive = (who: 'flood' | 'calm', everyMs: number) => {
      const arrivedAt = now
      slots.take(who, never).then(
        (release) => {
          waits[who].push(now - arrivedAt)
          later(50 + random() * 100, release)
        },
        () => refused[who]++,
      )
      later(random() * 2 * everyMs, () => arrive(who, everyMs))
    }
    // 4 slots of 100 ms serve 40 calls a second: one asks for 400 of them, one for 10
    arrive('flood', 2.5)
    arrive('calm', 100)
    while (now < 20_000) {
      timeline.sort((a, b) => b.at - a.at)
      const next = timeline.pop() as (typeof timeline)[number]
      now = next.at
      next.run()
      await Promise.resolve()
      await Promise.resolve()
      await Promise.resolve()
    }
    const longest = Math.max(...waits.calm)
    expect(refused.calm).toBe(0)
    expect(refused.flood).toBeGreaterThan(5_000)
    expect(waits.calm.length).toBeGreaterThan(150)
    // it waits for a slot, not for a queue
    expect(longest).toBeLessThan(400)
    expect(waits.calm.reduce((sum, one) => sum + one, 0) / waits.calm.length).toBeLessThan(60)
    // what it leaves is not idle
    expect(waits.flood.length).toBeGreaterThan(500)
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
