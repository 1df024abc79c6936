import { freshPrefix, testStack } from '@omium/dev/testing'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Buckets, createLocalBuckets } from '../src/limits/buckets.ts'
import { createRedisBuckets } from '../src/limits/redis-buckets.ts'

/** The same rule in one process and over all of them. */
let redis: Redis
beforeAll(async () => {
  redis = new Redis(testStack().redisUrl, { lazyConnect: true })
  await redis.connect()
})
afterAll(() => void redis?.disconnect())

const local = (): Buckets => createLocalBuckets(() => Date.now())
const nothing: Buckets = {
  take: () => Promise.reject(new Error('Redis was not asked')),
  settle: () => undefined,
}

describe.each([
  ['in a process', local],
  ['in Redis', () => createRedisBuckets(redis, freshPrefix(), nothing)],
])('a rate that tenants share, %s', (_, open) => {
  // a token comes every ten seconds: what is taken here is what the bucket held
  const ask = (buckets: Buckets, who: string) => buckets.take([{ key: 'p', perMinute: 6, amount: 1, who }])
  const takenBy = async (buckets: Buckets, who: string): Promise<number> => {
    let count = 0
    while ((await ask(buckets, who)) === 0) count++
    return count
  }

  it('is all of one who is alone', async () => {
    expect(await takenBy(open(), 'a')).toBe(6)
  })

  it('keeps something for those who asked lately, from whoever had more than an equal part', async () => {
    const buckets = open()
    await ask(buckets, 'b')
    expect(await takenBy(buckets, 'a')).toBe(4)
    expect(await ask(buckets, 'b')).toBe(0)
    expect(await ask(buckets, 'b')).toBeGreaterThan(0)
  })

  it('counts what a call really took', async () => {
    const buckets = open()
    await ask(buckets, 'b')
    await ask(buckets, 'a')
    buckets.settle([{ key: 'p', perMinute: 6, amount: 2.5, who: 'a' }])
    // 1.5 are left, one of them for `b`
    expect(await ask(buckets, 'a')).toBeGreaterThan(0)
    expect(await ask(buckets, 'b')).toBe(0)
  })
})
