import { expect, test } from 'vitest'
import { simulate } from './scenario.ts'

test('a seed reproduces a run exactly', async () => {
  expect(await simulate(42)).toEqual(await simulate(42))
})

// the 2,000 seeds of CI are in scenario.int.spec.ts; these few keep the quick specs honest
test('owners, clients and readers keep every promise on a bad network', { timeout: 60_000 }, async () => {
  for (let seed = 10_001; seed <= 10_020; seed++) {
    const { problems } = await simulate(seed)
    expect(problems, `seed ${seed}; npm run simulate -w producers/log -- --seeds 1 --from ${seed}`).toEqual([])
  }
})
