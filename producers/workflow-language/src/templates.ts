import type { JsonValue } from '@omium/schemas'
import { compileExpression, type Expression, ExpressionProblem, type Scope, type ScopeName } from './expressions.ts'

/** Templates: JSON in whose strings `${expression}` stands for values. `$${` is a literal `${`. */

export interface TemplateText {
  /** literal texts and expressions, in order */
  readonly parts: readonly (string | Expression)[]
  /** the whole string is one expression: its value keeps its type */
  readonly single: Expression | undefined
}

/** The end of an expression that starts at `start`: braces and quotes inside it are skipped. -1 when it never ends. */
const endOf = (text: string, start: number): number => {
  let depth = 0
  let quote = ''
  for (let i = start; i < text.length; i++) {
    const char = text[i] as string
    if (quote) {
      if (char === '\\') i++
      else if (char === quote) quote = ''
    } else if (char === '"' || char === "'") quote = char
    else if (char === '{') depth++
    else if (char === '}') {
      if (depth === 0) return i
      depth--
    }
  }
  return -1
}

/** @throws ExpressionProblem with its place in the whole text */
export const parseText = (text: string, names: readonly ScopeName[], nesting = 2): TemplateText => {
  const parts: (string | Expression)[] = []
  let literal = ''
  let i = 0
  while (i < text.length) {
    if (text.startsWith('$${', i)) {
      literal += '${'
      i += 3
    } else if (text.startsWith('${', i)) {
      const end = endOf(text, i + 2)
      if (end < 0) throw new ExpressionProblem('`${` is never closed; write `$${` for the characters themselves', i)
      if (literal) parts.push(literal)
      literal = ''
      try {
        parts.push(compileExpression(text.slice(i + 2, end).trim(), names, nesting))
      } catch (error) {
        if (!(error instanceof ExpressionProblem)) throw error
        throw new ExpressionProblem(error.message, i + 2 + error.start)
      }
      i = end + 1
    } else {
      literal += text[i]
      i++
    }
  }
  if (literal) parts.push(literal)
  const [only] = parts
  return { parts, single: parts.length === 1 && typeof only === 'object' ? only : undefined }
}

/** Text of a value inside other text: strings as they are, everything else as JSON. */
const shown = (value: JsonValue): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** @throws OmiumError `invalid_request` when an expression cannot be evaluated */
export const fillText = (text: string, scope: Scope, nesting = 2): JsonValue => {
  if (!text.includes('${')) return text
  const { parts, single } = parseText(text, Object.keys(scope) as ScopeName[], nesting)
  if (single) return single.evaluate(scope)
  return parts.map((part) => (typeof part === 'string' ? part : shown(part.evaluate(scope)))).join('')
}

/** The template with every expression in its place. @throws OmiumError `invalid_request` */
export const fillTemplate = (template: JsonValue, scope: Scope, nesting = 2): JsonValue => {
  if (typeof template === 'string') return fillText(template, scope, nesting)
  if (template === null || typeof template !== 'object') return template
  if (Array.isArray(template)) return template.map((item) => fillTemplate(item, scope, nesting))
  return Object.fromEntries(
    Object.entries(template).map(([key, member]) => [key, fillTemplate(member, scope, nesting)]),
  )
}

/** One level of a JSON pointer (RFC 6901). */
export const escapePointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')

/** Every string of a template with its JSON pointer relative to the template. */
export const stringsOf = (template: JsonValue, pointer = ''): { readonly pointer: string; readonly text: string }[] => {
  if (typeof template === 'string') return [{ pointer, text: template }]
  if (template === null || typeof template !== 'object') return []
  if (Array.isArray(template)) return template.flatMap((item, i) => stringsOf(item, `${pointer}/${i}`))
  return Object.entries(template).flatMap(([key, member]) => stringsOf(member, `${pointer}/${escapePointer(key)}`))
}
