import { expect, it } from 'vitest'
import { pooledRandomBytes } from './open.ts'

it('never gives the same random bytes twice', () => {
  const random = pooledRandomBytes()
  const seen = new Set(Array.from({ length: 2000 }, () => Buffer.from(random(10)).toString('hex')))
  expect(seen.size).toBe(2000)
})
