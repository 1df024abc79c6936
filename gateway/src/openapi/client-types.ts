import { errorCodes } from '@omium/schemas'
import type { Document, Operation } from './document.ts'

/**
 * TypeScript for a client out of the document: for each operation what its path, query and body take, and what it answers. One
 * operation below the other in the order of their names, so that a change of one is a change of a few lines.
 */
type Schema = {
  type?: string | readonly string[]
  enum?: readonly unknown[]
  const?: unknown
  anyOf?: readonly Schema[]
  oneOf?: readonly Schema[]
  allOf?: readonly Schema[]
  properties?: Readonly<Record<string, Schema>>
  required?: readonly string[]
  additionalProperties?: boolean | Schema
  items?: Schema
}
/** What is sent may leave members undefined, and is only read. */
type Side = 'sent' | 'answered'

/** any JSON; whoever sends it need not show that it is */
const anything = (side: Side): string => (side === 'sent' ? 'unknown' : 'JsonValue')
const nameOf = (name: string): string => (/^[A-Za-z_]\w*$/.test(name) ? name : `'${name}'`)
const literal = (value: unknown): string =>
  typeof value === 'string' ? `'${value.replaceAll("'", "\\'")}'` : JSON.stringify(value)
const union = (types: readonly string[]): string => [...new Set(types)].join(' | ') || 'never'
const grouped = (type: string): string => (/[|&]/.test(type) ? `(${type})` : type)

const objectType = ({ properties = {}, required = [], additionalProperties }: Schema, side: Side): string => {
  const members = Object.entries(properties).map(([name, schema]) => {
    const type = typeOf(schema, side)
    if (required.includes(name)) return `${nameOf(name)}: ${type}`
    return side === 'sent' ? `${nameOf(name)}?: ${type} | undefined` : `${nameOf(name)}?: ${type}`
  })
  const others = typeof additionalProperties === 'object' ? typeOf(additionalProperties, side) : anything(side)
  if (members.length === 0)
    return additionalProperties === false ? 'Record<string, never>' : `Record<string, ${others}>`
  return `{ ${members.join('; ')} }`
}

const ofKind = (kind: string, schema: Schema, side: Side): string => {
  switch (kind) {
    case 'object':
      return objectType(schema, side)
    case 'array':
      return `${side === 'sent' ? 'readonly ' : ''}${grouped(schema.items ? typeOf(schema.items, side) : anything(side))}[]`
    case 'integer':
      return 'number'
    default:
      return kind
  }
}

const typeOf = (schema: Schema, side: Side): string => {
  if ('const' in schema) return literal(schema.const)
  // the list of codes is long, and grows
  if (schema.enum) return schema.enum.length === errorCodes.length ? 'ErrorCode' : union(schema.enum.map(literal))
  const either = schema.anyOf ?? schema.oneOf
  if (either) return union(either.map((one) => typeOf(one, side)))
  if (schema.allOf) return schema.allOf.map((one) => grouped(typeOf(one, side))).join(' & ')
  if (schema.type === undefined) return anything(side)
  return union([schema.type].flat().map((kind) => ofKind(kind, schema, side)))
}

interface Parameter {
  readonly in: string
  readonly name: string
  readonly required?: boolean
  readonly schema: Schema
}

const parametersType = (parameters: readonly Parameter[], place: 'path' | 'query'): string | undefined => {
  const members = parameters
    .filter((one) => one.in === place)
    .map(({ name, required, schema }) => {
      const type = typeOf(schema, 'sent')
      return required ? `${nameOf(name)}: ${type}` : `${nameOf(name)}?: ${type} | undefined`
    })
  return members.length === 0 ? undefined : `{ ${members.join('; ')} }`
}

const bodyOf = (content: Record<string, { schema?: unknown }> | undefined, side: Side): string | undefined => {
  const schema = content?.['application/json']?.schema
  return schema === undefined ? undefined : typeOf(schema as Schema, side)
}

const operationLines = (name: string, operation: Operation): string[] => {
  const parameters = (operation.parameters ?? []) as unknown as readonly Parameter[]
  const good = Object.entries(operation.responses).filter(([status]) => /^2/.test(status))
  const answers = good.map(
    ([, { content }]) => bodyOf(content as Record<string, { schema?: unknown }>, 'answered') ?? 'null',
  )
  const body = bodyOf(operation.requestBody?.content, 'sent')
  const mark = operation.requestBody?.required === false ? '?' : ''
  return [
    `  '${name}': {`,
    ...(['path', 'query'] as const).flatMap((place) => {
      const type = parametersType(parameters, place)
      return type === undefined ? [] : [`    ${place}: ${type}`]
    }),
    ...(body === undefined ? [] : [`    body${mark}: ${body}`]),
    `    answer: ${union(answers)}`,
    '  }',
  ]
}

/** The text of the module. */
export const clientTypesOf = ({ paths }: Document): string => {
  const operations = Object.entries(paths)
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
    )
    .filter(([name]) => / \/v1\//.test(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return [
    '// Made from the OpenAPI document by `npm run api:accept`; a spec says when that is to be done again.',
    "import type { ErrorCode, JsonValue } from '@omium/schemas'",
    '',
    '/** What the operations of the API take and answer. */',
    'export interface Operations {',
    ...operations.flatMap(([name, operation]) => operationLines(name, operation)),
    '}',
    '',
  ].join('\n')
}
