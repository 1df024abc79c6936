/**
 * Whether a JSON value's text may take more than `limitBytes`. Cheap and pessimistic: it may say yes to a value that is
 * somewhat smaller, never no to one that is larger; it looks no further than needed to say yes.
 */
export const mayExceed = (value: unknown, limitBytes: number): boolean => sizeWithin(value, limitBytes, 0) < 0

/** a UTF-16 unit takes at most 6 bytes when it is escaped; a number at most 25 characters */
const bytesPerUnit = 6
const scalarBytes = 25
const punctuationBytes = 4
/** deeper values are taken for large ones, so that a hostile one cannot exhaust the stack here */
const maxDepth = 200

/** what is left of `budget` bytes after the value; negative once it is used up */
const sizeWithin = (value: unknown, budget: number, depth: number): number => {
  if (depth > maxDepth) return -1
  if (typeof value === 'string') return budget - value.length * bytesPerUnit - punctuationBytes
  if (typeof value !== 'object' || value === null) return budget - scalarBytes
  let left = budget - punctuationBytes
  if (Array.isArray(value)) {
    for (const item of value) {
      left = sizeWithin(item, left, depth + 1)
      if (left < 0) return left
    }
    return left
  }
  const object = value as Record<string, unknown>
  for (const key in object) {
    left = sizeWithin(object[key], left - key.length * bytesPerUnit - punctuationBytes, depth + 1)
    if (left < 0) return left
  }
  return left
}
