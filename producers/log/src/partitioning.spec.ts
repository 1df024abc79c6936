import { expect, test } from 'vitest'
import { murmur2, partitionFor } from './partitioning.ts'

test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('murmur2(%s) is what the Java client computes', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash)
})

test('a partition is never negative and depends on nothing but the key', () => {
  for (const key of ['21', 'foobar', 'ünï', '']) {
    const partition = partitionFor(key, 12)
    expect(partition).toBeGreaterThanOrEqual(0)
    expect(partition).toBeLessThan(12)
    expect(partitionFor(key, 12)).toBe(partition)
  }
  expect(partitionFor('21', 12)).toBe((-973932308 & 0x7fffffff) % 12)
})
