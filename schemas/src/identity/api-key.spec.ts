import fc from 'fast-check'
import { expect, it } from 'vitest'
import { apiKeyBytes, formatApiKey, parseApiKey } from './api-key.ts'

const random = fc.uint8Array({ minLength: apiKeyBytes, maxLength: apiKeyBytes })

it('is parsed as it was made, whatever it was made of', () => {
  fc.assert(
    fc.property(random, fc.constantFrom('live' as const, 'test' as const), (bytes, environment) => {
      const key = formatApiKey(environment, bytes)
      expect(key).toHaveLength(53)
      const parts = parseApiKey(key)
      expect(parts?.environment).toBe(environment)
      expect(key.startsWith(`${parts?.prefix}_`)).toBe(true)
      expect(parts?.keyId).toBe(`key_${key.slice(8, 19)}`)
    }),
  )
})

it('is refused with any one character changed, and in any other form', () => {
  const key = formatApiKey('test', Buffer.alloc(apiKeyBytes, 7))
  for (let i = 0; i < key.length; i++) {
    const changed = `${key.slice(0, i)}${key[i] === 'x' ? 'y' : 'x'}${key.slice(i + 1)}`
    expect(parseApiKey(changed)).toBeUndefined()
  }
  for (const other of ['', 'om_test_key', `${key} `, `${key}0`, key.replace('test', 'live'), key.toUpperCase()])
    expect(parseApiKey(other)).toBeUndefined()
})

it('differs where its bytes do', () => {
  fc.assert(
    fc.property(random, random, (a, b) => {
      fc.pre(Buffer.compare(a, b) !== 0)
      expect(formatApiKey('live', a)).not.toBe(formatApiKey('live', b))
    }),
  )
})
