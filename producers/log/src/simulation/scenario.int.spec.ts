import { expect, test } from 'vitest'
import { simulate } from './scenario.ts'

test('2,000 seeds keep every promise, and the faults really happened', { timeout: 300_000 }, async () => {
  const totals: Record<string, number> = {}
  for (let seed = 1; seed <= 2_000; seed++) {
    const { problems, counters } = await simulate(seed)
    expect(problems, `seed ${seed}; npm run simulate -w producers/log -- --seeds 1 --from ${seed}`).toEqual([])
    for (const [name, count] of Object.entries(counters)) totals[name] = (totals[name] ?? 0) + count
  }
  for (const name of [
    'doubts',
    'lost',
    'snapshots',
    'deduplicated',
    'rejected.stale_epoch',
    'rejected.version_mismatch',
  ]) {
    expect(totals[name], name).toBeGreaterThan(500)
  }
})
