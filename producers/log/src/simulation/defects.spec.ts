import { describe, expect, test } from 'vitest'
import { defects } from './defects.ts'
import { simulate } from './scenario.ts'

/** Within so many seeds every defect must show; most show in the first. */
const withinSeeds = 300

describe('the checker notices', () => {
  test.each(Object.keys(defects))('%s', { timeout: 120_000 }, async (name) => {
    for (let seed = 1; seed <= withinSeeds; seed++) {
      const { problems } = await simulate(seed, defects[name])
      if (problems.length > 0) return
    }
    expect.fail(`"${name}" went unnoticed for ${withinSeeds} seeds`)
  })
})
