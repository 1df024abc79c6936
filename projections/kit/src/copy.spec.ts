import { describe, expect, it } from 'vitest'
import { encodeCopyRow } from './copy.ts'

describe("COPY's text format", () => {
  it('keeps every character of a value but U+0000, which Postgres does not have', () => {
    expect(encodeCopyRow(['a\tb', 'c\nd\r', 'e\\f', 'g\0h', '\\N'])).toBe('a\\tb\tc\\nd\\r\te\\\\f\tg\uFFFDh\t\\\\N\n')
  })
  it('writes absent values as NULL and everything else as Postgres reads it', () => {
    expect(encodeCopyRow([null, undefined, 1.5, true, false, new Date(0), ''])).toBe(
      '\\N\t\\N\t1.5\tt\tf\t1970-01-01T00:00:00.000Z\t\n',
    )
  })
})
