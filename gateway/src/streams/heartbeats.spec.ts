import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createHeartbeats } from './heartbeats.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const lasting = () => {
  const one = { beats: 0, ended: 0, beat: async () => void one.beats++, end: () => void one.ended++ }
  return one
}

it('each beats once in its time, a few at a time', () => {
  const all = createHeartbeats<ReturnType<typeof lasting>>(1_000)
  const many = Array.from({ length: 1_000 }, lasting)
  for (const one of many) all.add(one)
  const beats = () => many.reduce((sum, one) => sum + one.beats, 0)
  vi.advanceTimersByTime(10)
  expect(beats()).toBe(10)
  vi.advanceTimersByTime(990)
  expect(many.every((one) => one.beats === 1)).toBe(true)
  all.end()
})

it('who is gone beats no more, and at the end nobody does', () => {
  const all = createHeartbeats<ReturnType<typeof lasting>>(100)
  const [gone, left] = [lasting(), lasting()]
  all.add(gone)
  all.add(left)
  all.delete(gone)
  vi.advanceTimersByTime(300)
  expect([gone.beats, left.beats]).toEqual([0, 3])
  all.end()
  vi.advanceTimersByTime(300)
  expect([gone.ended, left.ended, left.beats]).toEqual([0, 1, 3])
})
