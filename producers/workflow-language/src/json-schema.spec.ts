import { expect, it } from 'vitest'
import { checkValue, type JsonSchema, schemaProblem } from './json-schema.ts'

it('does not take the part of one schema for that of another, whatever names they give them', () => {
  const named = (type: string): JsonSchema => ({
    $id: 'https://example.com/s',
    properties: { a: { $ref: '#/$defs/x' }, b: { $ref: '#y' } },
    $defs: { x: { type }, y: { $anchor: 'y', type } },
  })
  const anonymous = (type: string): JsonSchema => {
    const { $id: _, ...rest } = named(type)
    return rest
  }
  for (const schema of [named, anonymous])
    for (const [type, value] of [
      ['string', 'x'],
      ['integer', 1],
    ] as const) {
      expect(checkValue(schema(type), { a: value, b: value })).toEqual({ value: { a: value, b: value } })
      expect(checkValue(schema(type), { a: true, b: true })).toMatchObject({
        problems: [/^\/a/, /^\/b/].map((place) => expect.stringMatching(place)),
      })
    }
  expect(schemaProblem({ properties: { a: { $ref: 'https://example.com/s' } } })).toMatch(/cannot be used/)
})
