import type { Redis } from 'ioredis'
import type { Buckets, Spending } from './buckets.ts'

/**
 * The same buckets for all processes, in Redis, by its clock, and shared by the same rule (`buckets.ts`). While Redis is away each process keeps to the limits by
 * itself: N processes may then let N times as much through, and nothing stops.
 */
const script = `
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local settle = ARGV[1] == '1'
local levels, used, wait = {}, {}, 0
for i, key in ipairs(KEYS) do
  local per, amount, who = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), ARGV[3 * i + 1]
  local stored = redis.call('HMGET', key, 'level', 'at')
  local level = per
  if stored[1] then level = math.min(per, tonumber(stored[1]) + (ms - tonumber(stored[2])) * per / 60000) end
  levels[i] = level
  local reserve = 0
  if who ~= '' then
    local others, shares = 0, redis.call('HGETALL', key .. ':shares')
    used[i] = 0
    for j = 1, #shares, 2 do
      local amountUsed, at = string.match(shares[j + 1], '^(%S+) (%S+)$')
      if ms - tonumber(at) >= 60000 then redis.call('HDEL', key .. ':shares', shares[j])
      elseif shares[j] == who then used[i] = tonumber(amountUsed) * math.exp((tonumber(at) - ms) / 60000)
      else others = others + 1 end
    end
    local part = per / (others + 1)
    if others > 0 and used[i] + amount > part then
      reserve = math.min(per / 2, others * math.max(amount, part / 6))
    end
  end
  local needed = math.ceil((math.min(amount + reserve, per) - level) * 60000 / per)
  if needed > wait then wait = needed end
end
local refused = wait > 0 and not settle
for i, key in ipairs(KEYS) do
  local per, amount, who = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), ARGV[3 * i + 1]
  if refused then amount = 0 end
  redis.call('HSET', key, 'level', tostring(math.min(per, levels[i] - amount)), 'at', tostring(ms))
  redis.call('PEXPIRE', key, 600000)
  if who ~= '' then
    redis.call('HSET', key .. ':shares', who, tostring(math.max(0, used[i] + amount)) .. ' ' .. tostring(ms))
    redis.call('PEXPIRE', key .. ':shares', 60000)
  end
end
if refused then return wait end
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
      ...spendings.flatMap(({ perMinute, amount, who = '' }) => [perMinute, amount, who]),
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
