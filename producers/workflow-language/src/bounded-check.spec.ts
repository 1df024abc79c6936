import type { JsonValue } from '@omium/schemas'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { checkBounded } from './bounded-check.ts'

const check = (schema: object, value: JsonValue) =>
  checkBounded((allErrors) => new Ajv2020({ allErrors, strict: false }).compile(schema), JSON.stringify(schema), value)
const tooLong = expect.objectContaining({ code: 'input_invalid' })

/** that a check ends takes as long as checks may take */
const patient = 30_000

describe('a check', () => {
  it('tells everything that is wrong with what is small, and the first thing of what is large', () => {
    const schema = { type: 'array', items: { type: 'string' } }
    expect(check(schema, ['a'])).toBeUndefined()
    expect(check(schema, [1, 2, 3])).toHaveLength(3)
    expect(
      check(
        schema,
        Array.from({ length: 1_000_000 }, () => 1),
      ),
    ).toHaveLength(1)
  })

  it('ends, whatever the schema asks for', { timeout: patient }, () => {
    const doubling = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [
        `s${n}`,
        n === 39 ? { type: 'string' } : { allOf: [{ $ref: `#/$defs/s${n + 1}` }, { $ref: `#/$defs/s${n + 1}` }] },
      ]),
    )
    const schema = { $ref: '#/$defs/s0', $defs: doubling }
    expect(() => check(schema, 'text')).toThrow(tooLong)
    const begunAt = performance.now()
    for (let i = 0; i < 20; i++) expect(() => check(schema, 'text')).toThrow(tooLong)
    // each would take a second, were it tried again
    expect(performance.now() - begunAt).toBeLessThan(10_000)
    const objects = Array.from({ length: 100_000 }, (_, n) => ({ n }))
    expect(() => check({ type: 'array', uniqueItems: true }, objects)).toThrow(tooLong)
  })

  it('with references is told as any other', () => {
    const schema = { $ref: '#/$defs/n', $defs: { n: { type: 'number' } } }
    expect(check(schema, 1)).toBeUndefined()
    expect(check(schema, 'x')).toHaveLength(1)
  })
})
