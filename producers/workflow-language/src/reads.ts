import type { JsonValue } from '@omium/schemas'
import { type Expression, ExpressionProblem, type ScopeName } from './expressions.ts'
import { expressionsAt, type Place } from './graph.ts'
import type { JsonSchema } from './json-schema.ts'
import { meant, type Problems } from './problems.ts'
import { parseText } from './templates.ts'
import { fromCel, type Known, memberOf, typesOf } from './types.ts'

/** What the expressions of a definition may read, and what they give, as far as that is known before it runs. */

/** What an expression at some place sees. */
export interface View {
  readonly names: readonly ScopeName[]
  /** types of the outputs of the nodes that can be seen */
  readonly outputs: ReadonlyMap<string, Known>
  readonly item?: Known
}

export class Reads {
  readonly #parameters: Known
  /** in which block every node of the definition is, to tell those who reach into another one */
  readonly #homes: ReadonlyMap<string, string>
  readonly #problems: Problems

  constructor(parameters: Known, homes: ReadonlyMap<string, string>, problems: Problems) {
    this.#parameters = parameters
    this.#homes = homes
    this.#problems = problems
  }

  /** Checks the expressions of one place, and what kind of value they have to give there. */
  check(base: string, place: Place, view: View, nesting?: number): void {
    const pointer = `${base}${place.pointer}`
    let expressions: Expression[]
    try {
      expressions = expressionsAt(place, view.names, nesting)
    } catch (error) {
      if (!(error instanceof ExpressionProblem)) throw error
      this.#unreadable(pointer, error, [...view.names, ...place.extra])
      return
    }
    for (const expression of expressions)
      for (const reference of expression.references) this.#reference(pointer, reference, view)
    if (place.kind === 'template') return
    const wanted = place.pointer === '/over' ? 'array' : 'boolean'
    const types = typesOf(this.#typeOf(expressions[0], view))
    if (types && !types.includes(wanted))
      this.#problems.add(pointer, 'type_mismatch', `the expression gives ${types.join(' or ')}`, wanted)
  }

  unknownNode(pointer: string, id: string, view: View): void {
    const home = this.#homes.get(id)
    const suggestion = home
      ? `"${id}" is inside of "${home}": use nodes.${home}.output`
      : meant(id, view.outputs.keys())
    const known = [...view.outputs.keys()].join(', ')
    this.#problems.add(pointer, 'unknown_node', `there is no node "${id}" here`, known, suggestion)
  }

  typeOfExpression(source: string, view: View): Known {
    try {
      return this.#typeOf(
        expressionsAt({ pointer: '', text: source, kind: 'expression', extra: [] }, view.names)[0],
        view,
      )
    } catch {
      return undefined
    }
  }

  typeOfTemplate(template: JsonValue, view: View): Known {
    if (typeof template === 'string') return this.#typeOfText(template, view)
    if (template === null) return { type: 'null' }
    if (typeof template === 'boolean') return { type: 'boolean', const: template }
    if (typeof template === 'number')
      return { type: Number.isInteger(template) ? 'integer' : 'number', const: template }
    if (Array.isArray(template)) return { type: 'array' }
    const properties = Object.entries(template).map(([key, member]) => [
      key,
      (this.typeOfTemplate(member, view) ?? true) as JsonValue,
    ])
    return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: false }
  }

  #typeOfText(text: string, view: View): Known {
    if (!text.includes('${')) return { type: 'string', const: text }
    try {
      const { single } = parseText(text, view.names)
      return single ? this.#typeOf(single, view) : { type: 'string' }
    } catch {
      return undefined
    }
  }

  #typeOf(expression: Expression | undefined, view: View): Known {
    if (!expression?.path) return expression && fromCel(expression.type)
    const [name, ...rest] = expression.path
    const [id, part, ...members] = rest
    if (name === 'parameters') return memberType(this.#parameters, rest)
    if (name === 'item') return memberType(view.item, rest)
    if (name === 'index' || name === 'iteration') return { type: 'integer' }
    if (name === 'nodes' && id !== undefined && part === 'output') return memberType(view.outputs.get(id), members)
    if (name === 'nodes' && part === 'status') return { type: 'string' }
    return undefined
  }

  #unreadable(pointer: string, { message, start }: ExpressionProblem, visible: readonly string[]): void {
    const unknown = /^Unknown variable: (\w+)/.exec(message)?.[1]
    const text = `${message}, at character ${start + 1}`
    if (unknown === undefined) this.#problems.add(pointer, 'expression', text)
    else this.#problems.add(pointer, 'expression', text, visible.join(', '), this.#variableMeant(unknown, visible))
  }

  #variableMeant(unknown: string, visible: readonly string[]): string | undefined {
    if (this.#homes.has(unknown)) return `write nodes.${unknown}.output`
    const properties = this.#parameters?.['properties']
    if (properties && typeof properties === 'object' && unknown in properties) return `write parameters.${unknown}`
    return meant(unknown, visible)
  }

  #reference(pointer: string, [name, ...rest]: readonly string[], view: View): void {
    if (name === 'parameters') this.#members(pointer, 'parameters', this.#parameters, rest)
    else if (name === 'item') this.#members(pointer, 'item', view.item, rest)
    else if (name === 'nodes') this.#node(pointer, rest, view)
  }

  #node(pointer: string, [id, part, ...members]: readonly string[], view: View): void {
    if (id === undefined) {
      const message = '`nodes` alone, or with a computed name, cannot be read'
      this.#problems.add(pointer, 'expression', message, 'nodes.<id>.output')
    } else if (!view.outputs.has(id)) this.unknownNode(pointer, id, view)
    else if (part === 'output') this.#members(pointer, `nodes.${id}.output`, view.outputs.get(id), members)
    else if (part !== undefined && part !== 'status')
      this.#problems.add(
        pointer,
        'expression',
        `a node has no "${part}"`,
        'nodes.<id>.output or nodes.<id>.status',
        `did you mean nodes.${id}.output.${part}?`,
      )
  }

  #members(pointer: string, start: string, type: Known, path: readonly string[]): void {
    let current = type
    let walked = start
    for (const member of path) {
      const next = memberOf(current, member)
      if ('missing' in next) {
        const { known, suggestion } = next.missing
        const expected =
          known.length > 0 ? `one of ${known.join(', ')}` : `${walked} is ${(typesOf(current) ?? []).join(' or ')}`
        const hint = suggestion && `did you mean "${suggestion}"?`
        this.#problems.add(pointer, 'missing_input', `${walked} has no "${member}"`, expected, hint)
        return
      }
      current = next.type
      walked += `.${member}`
    }
  }
}

const memberType = (type: Known, path: readonly string[]): Known => {
  let current = type
  for (const member of path) {
    const next = memberOf(current, member)
    if ('missing' in next) return undefined
    current = next.type
  }
  return current
}

const everyName: readonly ScopeName[] = ['parameters', 'nodes', 'run', 'item', 'index', 'iteration', 'last']

/** The value of an expression that reads nothing, undefined otherwise. */
export const constantOf = (source: string | undefined): JsonValue | undefined => {
  if (source === undefined) return undefined
  try {
    const [expression] = expressionsAt({ pointer: '', text: source, kind: 'expression', extra: [] }, everyName)
    return expression && expression.references.length === 0 ? expression.evaluate({}) : undefined
  } catch {
    return undefined
  }
}

/** The member of the parameters that a template is and nothing else: `${parameters.model}` gives `model`. */
export const parameterIn = (template: string): string | undefined => {
  try {
    const path = parseText(template, ['parameters', 'nodes', 'run']).single?.path
    return path?.length === 2 && path[0] === 'parameters' ? path[1] : undefined
  } catch {
    return undefined
  }
}

/** A JSON Schema by its keyword, where it is one. */
export const schemaAt = (schema: Known, ...path: readonly string[]): JsonSchema | undefined => {
  let current: JsonValue | undefined = schema as JsonValue | undefined
  for (const member of path) {
    if (current === null || typeof current !== 'object' || Array.isArray(current)) return undefined
    current = current[member]
  }
  return current !== null && typeof current === 'object' && !Array.isArray(current) ? current : undefined
}
