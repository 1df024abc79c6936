import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { durationToMs } from '../duration.ts'
import { PathScope } from './paths.ts'
import { toPlainJson } from './plain-json.ts'

describe('plain JSON', () => {
  it('is what JSON would keep, for every value that JSON can hold', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(toPlainJson(value, 'x')).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('turns undefined into null, leaves undefined members out and asks toJSON', () => {
    expect(toPlainJson(undefined, 'x')).toBeNull()
    expect(toPlainJson({ a: undefined, b: [undefined], c: new Date(0) }, 'x')).toEqual({
      b: [null],
      c: '1970-01-01T00:00:00.000Z',
    })
  })

  it('is a copy', () => {
    const value = { list: [1] }
    const copy = toPlainJson(value, 'x')
    value.list.push(2)
    expect(copy).toEqual({ list: [1] })
  })

  it('refuses what is nested too deeply, without overflowing the stack', () => {
    let deep: unknown = 1
    for (let i = 0; i < 100_000; i++) deep = [deep]
    expect(() => toPlainJson(deep, 'the output')).toThrow('nested deeper than 500 levels')
  })

  const cycle: { self?: unknown } = {}
  cycle.self = { again: cycle }
  it.each([
    [{ rows: [1, Number.NaN] }, 'at $.rows[1] there is NaN'],
    [{ 'a b': () => 1 }, 'at $["a b"] there is a function'],
    [10n, 'it is 10n'],
    [cycle, 'at $.self.again there is a reference to an object that contains it'],
    [[new Set()], 'at $[0] there is a Set'],
    [new Uint8Array(1), 'it is a Uint8Array'],
    [{ error: new TypeError('x') }, 'at $.error there is a TypeError'],
  ])('refuses a value by its place (%#)', (value, place) => {
    expect(() => toPlainJson(value, 'the output')).toThrow(`the output cannot be recorded: ${place}`)
  })
})

describe('paths', () => {
  it('count calls of one name and key, and nest', () => {
    const scope = new PathScope()
    expect([scope.next('plan'), scope.next('plan'), scope.next('search', 'kafka'), scope.next('search', 1)]).toEqual([
      'plan#1',
      'plan#2',
      'search:kafka#1',
      'search:1#1',
    ])
    expect(scope.below(scope.next('tools')).next('chat')).toBe('tools#1/chat#1')
  })

  it('never meet, whatever names and keys hold', () => {
    const part = fc.string({ unit: fc.constantFrom('a', '/', '#', ':', '%', '1'), minLength: 1, maxLength: 4 })
    const call = fc.record({ name: part, key: fc.option(part, { nil: undefined }) })
    fc.assert(
      fc.property(
        fc.uniqueArray(call, { selector: ({ name, key }) => JSON.stringify([name, key]), maxLength: 20 }),
        (calls) => {
          const scope = new PathScope()
          const paths = calls.map(({ name, key }) => scope.next(name, key))
          expect(new Set(paths).size).toBe(paths.length)
        },
      ),
    )
  })

  it('have an end', () => {
    expect(() => new PathScope().next('x', 'y'.repeat(1100))).toThrow(/1024 are allowed/)
  })
})

describe('durations', () => {
  it.each([
    [250, 250],
    ['250ms', 250],
    ['1.5s', 1500],
    ['3d', 259_200_000],
  ] as const)('%s is %i ms', (duration, ms) => expect(durationToMs(duration)).toBe(ms))
  it.each([-1, Number.NaN, '3 days', 'soon'])('%s is none', (duration) =>
    expect(() => durationToMs(duration as number)).toThrow(TypeError),
  )
})
