import { expect, test } from 'vitest'
import { z } from 'zod'
import { executionContext, jsonSchemaOf, type RecordCatalogue, upcast, v1 } from './index.ts'

const catalogue = {
  /** v1 held one name, v2 split it, v3 made the currency explicit */
  CustomerNamed: {
    version: 3,
    data: z.object({ first: z.string(), last: z.string(), currency: z.string() }),
    upcasters: {
      1: (old) => {
        const [first = '', last = ''] = (old as { name: string }).name.split(' ')
        return { first, last }
      },
      2: (old) => ({ ...(old as object), currency: 'USD' }),
    },
  },
  Plain: v1(z.object({ n: z.number() })),
} as const satisfies RecordCatalogue

test('a payload of version 1 is lifted through every version', () => {
  const oldJson = '{"name":"Ada Lovelace"}'
  const lifted = upcast(catalogue, 'CustomerNamed', 1, JSON.parse(oldJson))
  expect(catalogue.CustomerNamed.data.parse(lifted)).toEqual({ first: 'Ada', last: 'Lovelace', currency: 'USD' })
})

test('a payload of the current version is left as it is', () => {
  const now = { n: 1 }
  expect(upcast(catalogue, 'Plain', 1, now)).toBe(now)
})

test('a payload from the future, of an unknown type or without an upcaster is refused', () => {
  expect(() => upcast(catalogue, 'CustomerNamed', 4, {})).toThrow(/newer than this reader/)
  expect(() => upcast(catalogue, 'Nope', 1, {})).toThrow(/no record type Nope/)
  expect(() => upcast({ Gap: { version: 2, data: z.object({}) } }, 'Gap', 1, {})).toThrow(/no upcaster from v1/)
})

test('every version of every record type can be reached from version 1', () => {
  for (const [type, definition] of Object.entries({ ...executionContext.commands, ...executionContext.events })) {
    for (let version = 1; version < definition.version; version++) {
      const { upcasters } = definition as { upcasters?: Record<number, unknown> }
      expect(upcasters?.[version], `${type} v${version}`).toBeTypeOf('function')
    }
  }
})

test('every record type has a JSON Schema that describes an object', () => {
  for (const [type, definition] of Object.entries({ ...executionContext.commands, ...executionContext.events })) {
    expect(jsonSchemaOf(definition), type).toMatchObject({ type: 'object' })
  }
})

test('commands and events share no name', () => {
  const shared = Object.keys(executionContext.commands).filter((type) => type in executionContext.events)
  expect(shared).toEqual([])
})
