/**
 * Token buckets: each holds what a minute allows, fills continuously and may go into debt when a call turns out larger than
 * it was reckoned with. A spending takes from all of its buckets or from none.
 *
 * A bucket that several share is shared evenly where they want more than it holds: whoever had more than an equal part of it
 * lately leaves a reserve for the others, so that these find something whenever they come. What they do not want is not kept:
 * once the reserve is full, everything above it is anybody's.
 */
export interface Spending {
  /** names the bucket, tenant or provider included */
  readonly key: string
  readonly perMinute: number
  readonly amount: number
  /** who takes it, of those who share the bucket: a tenant */
  readonly who?: string
}

export interface Buckets {
  /** 0: taken; otherwise nothing was, and it may work after so many ms */
  take(spendings: readonly Spending[]): Promise<number>
  /** what a call really took, less what it was reckoned with; negative gives back */
  settle(spendings: readonly Spending[]): void
}

/** What one of those who share a bucket took of it lately. */
interface Share {
  readonly used: number
  readonly at: number
}
interface Bucket {
  readonly level: number
  readonly at: number
  readonly shares: Map<string, Share>
}

/** Who asked within so long shares the bucket, whether they got something or not; what they used fades as fast. */
const minuteMs = 60_000
/** the reserve is what the others may have in so long */
const reserveMs = 10_000
const mostShares = 1_000

const usedOf = (share: Share | undefined, now: number): number =>
  share ? share.used * Math.exp((share.at - now) / minuteMs) : 0

/** What has to stay in the bucket. @param others who share it, without the one who takes */
const reserveOf = ({ perMinute, amount }: Spending, used: number, others: number): number => {
  const part = perMinute / (others + 1)
  if (others === 0 || used + amount <= part) return 0
  return Math.min(perMinute / 2, others * Math.max(amount, (part * reserveMs) / minuteMs))
}

/** more are forgotten, oldest first: a forgotten bucket is a full one */
const mostBuckets = 10_000

const levelOf = (bucket: Bucket | undefined, perMinute: number, now: number): number =>
  bucket ? Math.min(perMinute, bucket.level + ((now - bucket.at) * perMinute) / 60_000) : perMinute

/** ms until a bucket holds the amount; one that asks for more than a bucket ever holds waits for a full one */
const waitOf = (level: number, { perMinute, amount }: Spending, reserve: number): number =>
  Math.ceil(((Math.min(amount + reserve, perMinute) - level) * minuteMs) / perMinute)

/** Buckets of this process alone. */
export const createLocalBuckets = (nowMs: () => number): Buckets => {
  const buckets = new Map<string, Bucket>()
  const put = ({ key, who }: Spending, level: number, taken: number, now: number): void => {
    const shares = buckets.get(key)?.shares ?? new Map<string, Share>()
    buckets.delete(key)
    buckets.set(key, { level, at: now, shares })
    if (buckets.size > mostBuckets) buckets.delete(buckets.keys().next().value as string)
    if (who === undefined) return
    const used = Math.max(0, usedOf(shares.get(who), now) + taken)
    shares.delete(who)
    shares.set(who, { used, at: now })
    if (shares.size > mostShares) shares.delete(shares.keys().next().value as string)
  }
  const reserveIn = (spending: Spending, now: number): number => {
    const { key, who } = spending
    const shares = buckets.get(key)?.shares
    if (who === undefined || !shares) return 0
    // in the order in which they last came
    for (const [other, { at }] of shares) {
      if (now - at < minuteMs) break
      shares.delete(other)
    }
    return reserveOf(spending, usedOf(shares.get(who), now), shares.size - (shares.has(who) ? 1 : 0))
  }
  return {
    async take(spendings) {
      const now = nowMs()
      const levels = spendings.map(({ key, perMinute }) => levelOf(buckets.get(key), perMinute, now))
      const waits = spendings.map((one, index) => waitOf(levels[index] ?? 0, one, reserveIn(one, now)))
      const wait = Math.max(0, ...waits)
      for (const [index, spending] of spendings.entries()) {
        const taken = wait > 0 ? 0 : spending.amount
        put(spending, (levels[index] ?? 0) - taken, taken, now)
      }
      return wait
    },
    settle(spendings) {
      const now = nowMs()
      for (const spending of spendings) {
        const { key, perMinute, amount } = spending
        put(spending, Math.min(perMinute, levelOf(buckets.get(key), perMinute, now) - amount), amount, now)
      }
    },
  }
}
