import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalJson, hashJson, jsonValue } from './index.ts'

test('canonical JSON means the same value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('the order of keys and members without a value do not change the hash', () => {
  expect(hashJson({ a: 1, b: { c: 2, d: [3] } })).toBe(hashJson({ b: { d: [3], c: 2 }, a: 1, e: undefined }))
  expect(hashJson([1, 2])).not.toBe(hashJson([2, 1]))
})

test('undefined and functions are no JSON', () => {
  expect(jsonValue.safeParse(undefined).success).toBe(false)
  expect(jsonValue.safeParse(() => 1).success).toBe(false)
  expect(jsonValue.safeParse(null).success).toBe(true)
})
