/**
 * Token buckets: each holds what a minute allows, fills continuously and may go into debt when a call turns out larger than
 * it was reckoned with. A spending takes from all of its buckets or from none.
 */
export interface Spending {
  /** names the bucket, tenant or provider included */
  readonly key: string
  readonly perMinute: number
  readonly amount: number
}

export interface Buckets {
  /** 0: taken; otherwise nothing was, and it may work after so many ms */
  take(spendings: readonly Spending[]): Promise<number>
  /** what a call really took, less what it was reckoned with; negative gives back */
  settle(spendings: readonly Spending[]): void
}

interface Bucket {
  level: number
  at: number
}

/** more are forgotten, oldest first: a forgotten bucket is a full one */
const mostBuckets = 10_000

const levelOf = (bucket: Bucket | undefined, perMinute: number, now: number): number =>
  bucket ? Math.min(perMinute, bucket.level + ((now - bucket.at) * perMinute) / 60_000) : perMinute

/** ms until a bucket holds the amount; one that asks for more than a bucket ever holds waits for a full one */
export const waitOf = (level: number, { perMinute, amount }: Spending): number =>
  Math.ceil(((Math.min(amount, perMinute) - level) * 60_000) / perMinute)

/** Buckets of this process alone. */
export const createLocalBuckets = (nowMs: () => number): Buckets => {
  const buckets = new Map<string, Bucket>()
  const put = (key: string, level: number, at: number): void => {
    buckets.delete(key)
    buckets.set(key, { level, at })
    if (buckets.size > mostBuckets) buckets.delete(buckets.keys().next().value as string)
  }
  return {
    async take(spendings) {
      const now = nowMs()
      const levels = spendings.map(({ key, perMinute }) => levelOf(buckets.get(key), perMinute, now))
      const wait = Math.max(0, ...spendings.map((spending, index) => waitOf(levels[index] ?? 0, spending)))
      if (wait > 0) return wait
      for (const [index, { key, amount }] of spendings.entries()) put(key, (levels[index] ?? 0) - amount, now)
      return 0
    },
    settle(spendings) {
      const now = nowMs()
      for (const { key, perMinute, amount } of spendings)
        put(key, Math.min(perMinute, levelOf(buckets.get(key), perMinute, now) - amount), now)
    },
  }
}
