import fc from 'fast-check'
import { expect, test } from 'vitest'
import { aggregateKey, callerId, createIdSource, parseAggregateKey, uuidv7Hex } from './index.ts'

const timeMs = fc.integer({ min: 0, max: 2 ** 47 })
const random = fc.uint8Array({ minLength: 10, maxLength: 10 })

test('a UUIDv7 carries version 7, variant 10 and its time', () => {
  fc.assert(
    fc.property(timeMs, random, (now, bytes) => {
      const id = uuidv7Hex(now, bytes)
      expect(id).toMatch(/^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/)
      expect(Number.parseInt(id.slice(0, 12), 16)).toBe(now)
    }),
  )
})

test('ids of a later millisecond sort later', () => {
  fc.assert(
    fc.property(timeMs, random, random, (now, a, b) => {
      expect(uuidv7Hex(now, a) < uuidv7Hex(now + 1, b)).toBe(true)
    }),
  )
})

test('an id names its kind and may be used wherever callers choose ids', () => {
  const ids = createIdSource(
    () => 1_700_000_000_000,
    (size) => new Uint8Array(size).fill(7),
  )
  expect(ids('execution')).toMatch(/^exe_[0-9a-f]{32}$/)
  expect(callerId.safeParse(ids('execution')).success).toBe(true)
})

test.each(['', '/a', 'a/b', 'a:b', '-a', 'a b', 'é', 'a'.repeat(129)])('%j is no id', (id) => {
  expect(callerId.safeParse(id).success).toBe(false)
})

test('an aggregate key is taken apart into what it was made of', () => {
  const key = aggregateKey('execution', 'ten_1', 'order-7')
  expect(key).toBe('execution:ten_1/order-7')
  expect(parseAggregateKey(key)).toEqual({ type: 'execution', tenant: 'ten_1', id: 'order-7' })
  expect(parseAggregateKey('garbage')).toBeUndefined()
  expect(parseAggregateKey('other:a/b')).toBeUndefined()
})
