import { expect, test } from 'vitest'
import { CommitQueue } from './commit-queue.ts'

test('an offset is committable once everything before it is decided, and only once', () => {
  const queue = new CommitQueue()
  const [first, second, third] = [5, 6, 9].map((offset) => queue.track(offset))
  expect(queue.undecided).toBe(3)
  second?.()
  expect(queue.take()).toBeUndefined()
  first?.()
  first?.()
  expect(queue.undecided).toBe(1)
  expect(queue.take()).toBe(7)
  expect(queue.take()).toBeUndefined()
  third?.()
  expect(queue.take()).toBe(10)
})
