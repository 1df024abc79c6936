import { expect, it } from 'vitest'
import { Standstill } from './standstill.ts'

it('a process that stood still does not rely on what it knows until it had time to hear of others', () => {
  const minute = 60_000
  const standstill = new Standstill(0)
  expect([standstill.tick(minute), standstill.tick(2 * minute)]).toEqual([true, true])
  const woken = 30 * 60 * minute
  expect([standstill.tick(woken), standstill.tick(woken + minute)]).toEqual([false, false])
  expect(standstill.tick(woken + 16 * minute)).toBe(true)
})
