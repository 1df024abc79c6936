import { expect, it } from 'vitest'
import { createLru } from './lru.ts'

it('keeps what was used last, and closes what goes', () => {
  const closed: string[] = []
  const lru = createLru<{ name: string; close(): void }>(2)
  const get = (name: string) => lru.get(name, () => ({ name, close: () => void closed.push(name) }))
  const a = get('a')
  get('b')
  expect(get('a')).toBe(a)
  get('c')
  expect(closed).toEqual(['b'])
  expect([...lru.values()].map(({ name }) => name)).toEqual(['a', 'c'])
  lru.drop('a')
  lru.drop('unknown')
  expect(get('a')).not.toBe(a)
  lru.close()
  expect(closed).toEqual(['b', 'a', 'c', 'a'])
  expect([...lru.values()]).toEqual([])
})
