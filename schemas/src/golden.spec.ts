import { expect, test } from 'vitest'
import { goldenProblems, goldenRecords } from './golden.ts'

test('every event and command has exactly the schema that is committed for its version', () => {
  expect(goldenProblems()).toEqual([])
})

test('every version before the current one has an upcaster', () => {
  const missing = goldenRecords().flatMap(({ type, definition }) =>
    Array.from({ length: definition.version - 1 }, (_, i) => i + 1)
      .filter((version) => !definition.upcasters?.[version])
      .map((version) => `${type} v${version}`),
  )
  expect(missing).toEqual([])
})
