import type { Redis } from 'ioredis'
import type { Buckets, Spending } from './buckets.ts'

/**
 * The same buckets for all processes, in Redis, by its clock. While Redis is away each process keeps to the limits by
 * itself: N processes may then let N times as much through, and nothing stops.
 */
const script = `
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local settle = ARGV[1] == '1'
local levels, wait = {}, 0
for i, key in ipairs(KEYS) do
  local per, amount = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local stored = redis.call('HMGET', key, 'level', 'at')
  local level = per
  if stored[1] then level = math.min(per, tonumber(stored[1]) + (ms - tonumber(stored[2])) * per / 60000) end
  levels[i] = level
  local needed = math.ceil((math.min(amount, per) - level) * 60000 / per)
  if needed > wait then wait = needed end
end
if wait > 0 and not settle then return wait end
for i, key in ipairs(KEYS) do
  local per, amount = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  redis.call('HSET', key, 'level', tostring(math.min(per, levels[i] - amount)), 'at', tostring(ms))
  redis.call('PEXPIRE', key, 600000)
end
return 0`

type WithBuckets = Redis & { omiumBuckets(keys: number, ...args: (string | number)[]): Promise<number> }

export const createRedisBuckets = (redis: Redis, prefix: string, local: Buckets): Buckets => {
  redis.defineCommand('omiumBuckets', { lua: script })
  const run = (spendings: readonly Spending[], settle: boolean): Promise<number> =>
    (redis as WithBuckets).omiumBuckets(
      spendings.length,
      // one hash slot: the script takes from all or from none
      ...spendings.map(({ key }) => `${prefix}{limits}:${key}`),
      settle ? 1 : 0,
      ...spendings.flatMap(({ perMinute, amount }) => [perMinute, amount]),
    )
  return {
    async take(spendings) {
      if (spendings.length === 0) return 0
      if (redis.status !== 'ready') return local.take(spendings)
      try {
        return Number(await run(spendings, false))
      } catch {
        return local.take(spendings)
      }
    },
    settle(spendings) {
      if (spendings.length === 0) return
      if (redis.status !== 'ready') return local.settle(spendings)
      run(spendings, true).catch(() => local.settle(spendings))
    },
  }
}
