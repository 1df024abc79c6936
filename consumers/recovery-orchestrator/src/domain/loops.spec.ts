import { expect, it } from 'vitest'
import { type CallWindow, findLoop, rememberCall } from './loops.ts'

const limits = { repeats: 3, window: 5, withinMs: 1000 }
const calls = (...made: [name: string, input: object, at: number][]): CallWindow =>
  made.reduce<CallWindow>(
    (window, [name, inline, at], i) =>
      rememberCall(
        window,
        { name, path: `${name}#${i + 1}`, input: { inline: inline as never }, requestHash: `${i}`, at },
        limits,
      ),
    [],
  )

it('finds the same tool with the same arguments, whatever their order', () => {
  const window = calls(
    ['find', { a: 1, b: 2 }, 1],
    ['other', {}, 2],
    ['find', { b: 2, a: 1 }, 3],
    ['find', { a: 1, b: 2 }, 4],
  )
  expect(findLoop(window, limits, 4)).toEqual({ name: 'find', paths: ['find#1', 'find#3', 'find#4'] })
})
it('finds none among other arguments, outside of the window, or over a long time', () => {
  expect(findLoop(calls(['f', { a: 1 }, 1], ['f', { a: 2 }, 2], ['f', { a: 3 }, 3]), limits, 3)).toBeNull()
  expect(
    findLoop(calls(['f', {}, 1], ['g', {}, 2], ['g', {}, 3], ['h', {}, 4], ['f', {}, 5], ['f', {}, 6]), limits, 6),
  ).toBeNull()
  expect(findLoop(calls(['f', {}, 1], ['f', {}, 2], ['f', {}, 1500]), limits, 1500)).toBeNull()
  expect(findLoop([], limits, 0)).toBeNull()
})
