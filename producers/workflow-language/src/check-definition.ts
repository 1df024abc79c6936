import {
  type JsonValue,
  nodeTypes,
  type WorkflowDefinition,
  type WorkflowProblem,
  workflowDefinition,
} from '@omium/schemas'
import type { z } from 'zod'
import { nearest } from './suggestions.ts'
import { escapePointer } from './templates.ts'

/** The shape of a definition: what the schema says, as problems with places and suggestions. */

const keys = [
  ...Object.keys(workflowDefinition.shape),
  ...(
    'type title needs when onError agent input options timeoutMs retry outputSchema model system prompt messages ' +
    'temperature maxTokens schema repairs tools maxTurns ask details onRefusal signal durationMs value message cases ' +
    'otherwise over concurrency maxItems do branches until maxIterations initial onLimit workflow version parameters ' +
    'maxAttempts delayMs backoff limit key policy role content'
  ).split(' '),
]

export const pointerOf = (path: readonly PropertyKey[]): string =>
  path.map((level) => `/${escapePointer(String(level))}`).join('')

const problemsOf = (issue: z.core.$ZodIssue, value: JsonValue): WorkflowProblem[] => {
  const pointer = pointerOf(issue.path)
  const base = { code: 'schema', severity: 'error' } as const
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const meant = nearest(key, keys)
      return {
        ...base,
        pointer: `${pointer}/${escapePointer(key)}`,
        message: `"${key}" is not known here`,
        ...(meant && { suggestion: `did you mean "${meant}"?` }),
      }
    })
  }
  if (issue.code === 'invalid_union' && issue.path.at(-1) === 'type') {
    const given = String(at(value, issue.path) ?? '')
    const meant = nearest(given, nodeTypes)
    return [
      {
        ...base,
        pointer,
        message: given ? `there is no node type "${given}"` : 'the node has no type',
        expected: nodeTypes.join(', '),
        ...(meant && { suggestion: `did you mean "${meant}"?` }),
      },
    ]
  }
  if (issue.code === 'invalid_key')
    return [{ ...base, pointer, message: issue.issues.map(({ message }) => message).join('; ') }]
  const expected = 'expected' in issue && typeof issue.expected === 'string' ? issue.expected : undefined
  return [{ ...base, pointer, message: issue.message, ...(expected && { expected }) }]
}

const at = (value: JsonValue, path: readonly PropertyKey[]): JsonValue | undefined => {
  let current: JsonValue | undefined = value
  for (const level of path) {
    if (current === null || typeof current !== 'object') return undefined
    current = (current as Record<PropertyKey, JsonValue>)[level]
  }
  return current
}

export interface Checked {
  readonly problems: readonly WorkflowProblem[]
  /** what of it can be checked further; nodes that do not fit are in it as placeholders */
  readonly usable: WorkflowDefinition | undefined
  readonly placeholders: ReadonlySet<string>
}

const isObject = (value: JsonValue | undefined): value is { [key: string]: JsonValue } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Parses a definition; when nodes do not fit, everything else can still be looked at. */
export const checkShape = (definition: JsonValue): Checked => {
  const parsed = workflowDefinition.safeParse(definition)
  if (parsed.success) return { problems: [], usable: parsed.data, placeholders: new Set() }
  const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, definition))
  const placeholders = new Set<string>()
  for (const { path } of parsed.error.issues)
    if (path[0] === 'nodes' && path.length > 1) placeholders.add(String(path[1]))
  if (!isObject(definition) || !isObject(definition['nodes'])) return { problems, usable: undefined, placeholders }
  const nodes = Object.fromEntries(
    Object.entries(definition['nodes']).map(([id, node]) => [
      id,
      placeholders.has(id) ? { type: 'set', value: null } : node,
    ]),
  )
  const rest: Record<string, JsonValue> = { ...definition, nodes }
  for (const { path, code, ...issue } of parsed.error.issues) {
    if (path[0] !== 'nodes' && path.length > 0) delete rest[String(path[0])]
    if (path.length === 0 && code === 'unrecognized_keys')
      for (const key of (issue as { keys: string[] }).keys) delete rest[key]
  }
  const again = workflowDefinition.safeParse({ name: 'unnamed', ...rest })
  return { problems, usable: again.success ? again.data : undefined, placeholders }
}
