import { OmiumError } from '@omium/schemas'

/** Lists in the order of a time and an id, page by page. */

export interface Page<T> {
  readonly items: readonly T[]
  /** opaque; absent on the last page */
  readonly nextCursor?: string
}

export interface Paging {
  readonly limit: number
  readonly cursor?: string | undefined
}

/** A page out of one row more than it has, with a cursor made of the last row's time and id. */
export const pageOf = <T>(rows: readonly T[], limit: number, key: (row: T) => readonly [Date, string]): Page<T> => {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  if (rows.length <= limit || !last) return { items }
  const [at, id] = key(last)
  return { items, nextCursor: Buffer.from(JSON.stringify([at.toISOString(), id])).toString('base64url') }
}

/** @throws OmiumError `invalid_request` when no list gave this cursor */
export const positionOf = (cursor: string | undefined): { readonly at: string; readonly id: string } | undefined => {
  if (cursor === undefined) return undefined
  let key: unknown
  try {
    key = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    key = undefined
  }
  const [at, id] = Array.isArray(key) ? (key as unknown[]) : []
  if (typeof at === 'string' && typeof id === 'string' && !Number.isNaN(Date.parse(at)) && !id.includes('\0'))
    return { at: new Date(at).toISOString(), id }
  throw new OmiumError('invalid_request', 'cursor: not one that this list gave; start again without a cursor')
}
