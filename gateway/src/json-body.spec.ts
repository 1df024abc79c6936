import { describe, expect, it } from 'vitest'
import { isTooDeep, requireFlat } from './json-body.ts'

const tooDeep = (text: string) => isTooDeep(Buffer.from(text), 3)

describe('the depth of JSON', () => {
  it.each([
    ['[[[1]]]', false],
    ['[[[[1]]]]', true],
    ['{"a":{"b":{"c":{}}}}', true],
    ['[[1],[2],[3],[4],[5]]', false],
    ['["[[[[[[", "]]", "\\"[[[["]', false],
    ['["\\\\", [[[1]]]]', true],
    // cut off in the middle of a string: the parser's to refuse
    ['["[[[[\\', false],
  ])('%s', (text, expected) => {
    expect(tooDeep(text)).toBe(expected)
  })

  it('is refused with a code beyond what can be walked over', () => {
    expect(() => requireFlat(Buffer.from('['.repeat(1_000)))).not.toThrow()
    expect(() => requireFlat(Buffer.from('['.repeat(1_001)))).toThrow(expect.objectContaining({ code: 'invalid_json' }))
  })
})
