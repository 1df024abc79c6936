import type { JsonValue } from '@omium/schemas'
import type { JsonSchema } from './json-schema.ts'
import { nearest } from './suggestions.ts'
import { escapePointer } from './templates.ts'

/**
 * What is known about a value before there is one, as a JSON Schema; undefined when nothing is. Every check here is one-sided:
 * it complains about what can never fit, and lets pass what may.
 */
export type Known = JsonSchema | undefined

const isSchema = (value: JsonValue | undefined): value is { [key: string]: JsonValue } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const typesOf = (schema: Known): readonly string[] | undefined => {
  if (!schema) return undefined
  const { type } = schema
  if (typeof type === 'string') return [type]
  if (Array.isArray(type)) return type.map(String)
  if ('const' in schema) return [typeOfValue(schema['const'] ?? null)]
  if (Array.isArray(schema['enum'])) return [...new Set(schema['enum'].map(typeOfValue))]
  return undefined
}

const typeOfValue = (value: JsonValue): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value

const composed = (schema: JsonSchema): boolean =>
  ['$ref', 'anyOf', 'oneOf', 'allOf', 'not', 'if'].some((keyword) => keyword in schema)

export interface Missing {
  readonly at: string
  readonly suggestion: string | undefined
  readonly known: readonly string[]
}

/** The type of a member of a value of this type; `missing` when it certainly has no such member. */
export const memberOf = (schema: Known, member: string): { type: Known } | { missing: Missing } => {
  if (!schema || composed(schema)) return { type: undefined }
  const types = typesOf(schema)
  if (types && !types.includes('object')) {
    // a string has methods, not members; an array is indexed by numbers, which end a path
    return { missing: { at: member, suggestion: undefined, known: [] } }
  }
  const properties = isSchema(schema['properties']) ? schema['properties'] : undefined
  const found = properties?.[member]
  if (isSchema(found)) return { type: found }
  if (found === true || !properties) return { type: undefined }
  const open = schema['additionalProperties']
  if (isSchema(open)) return { type: open }
  const names = Object.keys(properties)
  // a schema that lists its properties means them, unless it says that there are others
  if (open === true || 'patternProperties' in schema) return { type: undefined }
  return { missing: { at: member, suggestion: nearest(member, names), known: names } }
}

/** The type of the items of a list. */
export const itemOf = (schema: Known): Known => {
  if (!schema || composed(schema)) return undefined
  return isSchema(schema['items']) ? schema['items'] : undefined
}

const celTypes: Readonly<Record<string, JsonSchema>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  int: { type: 'integer' },
  double: { type: 'number' },
  null: { type: 'null' },
}

/** What CEL says about a value, as a schema. */
export const fromCel = (type: string): Known =>
  celTypes[type] ??
  (type.startsWith('list') ? { type: 'array' } : type.startsWith('map') ? { type: 'object' } : undefined)

export interface Misfit {
  readonly pointer: string
  readonly code: 'missing_input' | 'type_mismatch'
  readonly message: string
  readonly expected?: string
  readonly suggestion?: string
}

const fitsType = (actual: string, expected: readonly string[]): boolean =>
  expected.includes(actual) ||
  (actual === 'integer' && expected.includes('number')) ||
  (actual === 'number' && expected.includes('integer'))

/** Why a value of type `actual` can never fit `expected`. `literal`: all its members are known. */
export const misfits = (actual: Known, expected: Known, pointer = '', depth = 0): Misfit[] => {
  if (!actual || !expected || depth > 16 || composed(expected) || composed(actual)) return []
  const given = typesOf(actual)
  const wanted = typesOf(expected)
  if (given && wanted && !given.some((type) => fitsType(type, wanted))) {
    const expectedText = wanted.join(' or ')
    return [
      {
        pointer,
        code: 'type_mismatch',
        message: `gives ${given.join(' or ')}, not ${expectedText}`,
        expected: expectedText,
      },
    ]
  }
  const constant = actual['const']
  const choices = expected['enum']
  if (constant !== undefined && Array.isArray(choices) && !choices.some((choice) => choice === constant)) {
    const suggestion = nearest(String(constant), choices.map(String))
    return [
      {
        pointer,
        code: 'type_mismatch',
        message: `${JSON.stringify(constant)} is none of the values that are allowed`,
        expected: choices.map((choice) => JSON.stringify(choice)).join(', '),
        ...(suggestion && { suggestion }),
      },
    ]
  }
  if (isSchema(actual['properties'])) return memberMisfits(actual, expected, pointer, depth)
  const items = itemOf(actual)
  if (items && itemOf(expected)) return misfits(items, itemOf(expected), `${pointer}/*`, depth + 1)
  return []
}

const memberMisfits = (actual: JsonSchema, expected: JsonSchema, pointer: string, depth: number): Misfit[] => {
  const given = actual['properties'] as Record<string, JsonValue>
  const wanted = isSchema(expected['properties']) ? expected['properties'] : {}
  const found: Misfit[] = []
  const unknown = Object.keys(given).filter((key) => !(key in wanted))
  if (actual['additionalProperties'] === false && Array.isArray(expected['required'])) {
    for (const required of expected['required'].map(String)) {
      if (required in given) continue
      const typo = nearest(required, unknown)
      found.push({
        pointer,
        code: 'missing_input',
        message: `"${required}" is required and not given`,
        expected: (typesOf(wanted[required] as Known) ?? ['a value']).join(' or '),
        ...(typo && { suggestion: `"${typo}" may be meant as "${required}"` }),
      })
    }
  }
  if (expected['additionalProperties'] === false && isSchema(expected['properties'])) {
    for (const key of unknown) {
      const suggestion = nearest(key, Object.keys(wanted))
      found.push({
        pointer: `${pointer}/${escapePointer(key)}`,
        code: 'type_mismatch',
        message: `there is no "${key}"`,
        expected: `one of ${Object.keys(wanted).join(', ') || 'nothing'}`,
        ...(suggestion && { suggestion: `did you mean "${suggestion}"?` }),
      })
    }
  }
  for (const [key, type] of Object.entries(given)) {
    const target = wanted[key]
    if (isSchema(type) && isSchema(target))
      found.push(...misfits(type, target, `${pointer}/${escapePointer(key)}`, depth + 1))
  }
  return found
}
