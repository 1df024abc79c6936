import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyWindow } from './key-window.ts'

test('the oldest key goes when the window is full; a deleted key makes room', () => {
  const window = new KeyWindow<number>(2)
  window.set('a', 1)
  window.set('b', 2)
  window.delete('a')
  window.set('c', 3)
  expect([...window.entries()]).toEqual([
    ['b', 2],
    ['c', 3],
  ])
  window.set('d', 4)
  expect(window.has('b')).toBe(false)
  expect(window.get('d')).toBe(4)
  expect(window.size).toBe(2)
})

test('it behaves like the naive list, whatever happens, also after being copied', () => {
  const action = fc.record({
    key: fc.constantFrom(...'abcdefgh'),
    kind: fc.constantFrom('set', 'set', 'set', 'delete', 'copy'),
  })
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), fc.integer({ min: 1, max: 5 }), (actions, capacity) => {
      let window = new KeyWindow<number>(capacity)
      let naive: [string, number][] = []
      for (const [i, { key, kind }] of actions.entries()) {
        if (kind === 'copy') {
          const copy = new KeyWindow<number>(capacity)
          for (const [k, v] of window.entries()) copy.set(k, v)
          window = copy
          continue
        }
        naive = naive.filter(([k]) => k !== key)
        if (kind === 'set') {
          naive = [...naive, [key, i] satisfies [string, number]].slice(-capacity)
          window.set(key, i)
        } else window.delete(key)
        expect([...window.entries()]).toEqual(naive)
      }
    }),
  )
})
