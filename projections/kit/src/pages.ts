import { OmiumError } from '@omium/schemas'

/** Lists, page by page: each goes on behind the key of the last row that was shown, by the columns that it is sorted by. */

export interface Page<T> {
  readonly items: readonly T[]
  /** opaque; absent on the last page */
  readonly nextCursor?: string
}

export interface Paging {
  readonly limit: number
  readonly cursor?: string | undefined
}

export type KeyPart = 'time' | 'text' | 'integer'
type OfRow = { readonly time: Date; readonly text: string; readonly integer: number }
type Bound = { readonly time: string; readonly text: string; readonly integer: number }
type Key<K extends readonly KeyPart[], Of extends Record<KeyPart, unknown>> = { readonly [I in keyof K]: Of[K[I]] }

export interface Keyset<K extends readonly KeyPart[]> {
  /** The key behind which a page begins, to be bound; undefined for the first page. @throws OmiumError `invalid_request` when no list gave this cursor */
  after(cursor: string | undefined): Key<K, Bound> | undefined
  /** A page out of one row more than it has. */
  page<T>(rows: readonly T[], limit: number, keyOf: (row: T) => Key<K, OfRow>): Page<T>
}

/** A time in the one form in which lists give it: others may be none to the database. */
const isTime = (text: string): boolean =>
  /^\d{4}-/.test(text) && text >= '0001' && !Number.isNaN(Date.parse(text)) && new Date(text).toISOString() === text

/** what a column of each kind can be compared with */
const isPart: Record<KeyPart, (part: unknown) => boolean> = {
  time: (part) => typeof part === 'string' && isTime(part),
  text: (part) => typeof part === 'string' && part.isWellFormed() && !part.includes('\0'),
  integer: (part) => Number.isInteger(part) && Math.abs(part as number) < 2 ** 31 && !Object.is(part, -0),
}

/** How a list goes on whose rows are sorted by these columns, all in the same direction. */
export const keyset = <const K extends readonly KeyPart[]>(...parts: K): Keyset<K> => ({
  after(cursor) {
    if (!cursor) return undefined
    let key: unknown
    try {
      key = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    } catch {
      key = undefined
    }
    if (Array.isArray(key) && key.length === parts.length && parts.every((part, i) => isPart[part](key[i])))
      return key as unknown as Key<K, Bound>
    throw new OmiumError('invalid_request', 'cursor: not one that this list gave; start again without a cursor')
  },
  page(rows, limit, keyOf) {
    const items = rows.slice(0, limit)
    const last = items.at(-1)
    if (rows.length <= limit || !last) return { items }
    return { items, nextCursor: Buffer.from(JSON.stringify(keyOf(last))).toString('base64url') }
  },
})

export const byTime = keyset('time', 'text')
export const byId = keyset('text')
