import { describe, expect, it } from 'vitest'
import { keyset } from './pages.ts'

const cursorOf = (key: unknown): string => Buffer.from(JSON.stringify(key)).toString('base64url')
const list = keyset('time', 'text', 'integer')
const moment = '2026-07-01T12:00:00.000Z'

describe('a page', () => {
  const rows = [1, 2, 3].map((n) => ({ at: new Date(moment), id: `é${n}`, n }))
  const keyOf = ({ at, id, n }: (typeof rows)[number]) => [at, id, n] as const

  it('says behind which row the next one begins', () => {
    const { items, nextCursor } = list.page(rows, 2, keyOf)
    expect(items).toEqual(rows.slice(0, 2))
    expect(list.after(nextCursor)).toEqual([moment, 'é2', 2])
  })
  it('that is the last one has no cursor', () => {
    expect(list.page(rows, 3, keyOf)).toEqual({ items: rows })
    expect(list.page([], 3, keyOf)).toEqual({ items: [] })
  })
  it('that is the first one begins nowhere', () => {
    expect(list.after(undefined)).toBeUndefined()
    expect(list.after('')).toBeUndefined()
  })
})

describe('a cursor is refused that', () => {
  it.each([
    ['is no JSON', 'nope'],
    ['is something else', cursorOf({ 0: moment, 1: 'a', 2: 1, length: 3 })],
    ['has too few parts', cursorOf([moment, 'a'])],
    ['has too many', cursorOf([moment, 'a', 1, 1])],
    ['has them in another order', cursorOf(['a', moment, 1])],
    ...[
      '2021',
      'Tue Mar 01 2022',
      '2026-07-01T12:00:00Z',
      '2026-13-01T00:00:00.000Z',
      '+275760-09-13T00:00:00.000Z',
      '-000001-01-01T00:00:00.000Z',
      '0000-01-01T00:00:00.000Z',
      'infinity',
      '',
    ].map((time): [string, string] => [`has the time ${time}`, cursorOf([time, 'a', 1])]),
    ...[1.5, 1e15, 2 ** 31, '1', null].map((n): [string, string] => [
      `has the number ${n}`,
      cursorOf([moment, 'a', n]),
    ]),
    ['has a negative zero', Buffer.from(`["${moment}","a",-0]`).toString('base64url')],
    ['has U+0000', cursorOf([moment, 'a\0', 1])],
    ['has half a character', cursorOf([moment, 'a\ud800', 1])],
  ])('%s', (_what, cursor) => {
    expect(() => list.after(cursor)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })
})
