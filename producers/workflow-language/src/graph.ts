import type { JsonValue, WorkflowBlock, WorkflowNode } from '@omium/schemas'
import { compileExpression, type Expression, type ScopeName } from './expressions.ts'
import { parseText, stringsOf } from './templates.ts'

/** Where the expressions of a node are, which of its names they see, and what a node waits for. */

export interface Place {
  /** relative to the node */
  readonly pointer: string
  readonly text: string
  readonly kind: 'template' | 'expression'
  readonly extra: readonly ScopeName[]
}

export interface InnerBlock {
  readonly pointer: string
  readonly block: WorkflowBlock
  readonly extra: readonly ScopeName[]
}

const templated = (pointer: string, template: JsonValue | undefined, extra: readonly ScopeName[] = []): Place[] =>
  template === undefined
    ? []
    : stringsOf(template, pointer)
        .filter(({ text }) => text.includes('${'))
        .map((found) => ({ ...found, kind: 'template' as const, extra }))
const plain = (pointer: string, text: string | undefined, extra: readonly ScopeName[] = []): Place[] =>
  text === undefined ? [] : [{ pointer, text, kind: 'expression', extra }]

/** Every expression of a node itself, without those of the blocks inside it. */
export const placesOf = (node: WorkflowNode): Place[] => {
  const own: Place[] = [...plain('/when', node.when), ...templated('/onError/output', node.onError?.output, ['error'])]
  switch (node.type) {
    case 'agent':
      return [...own, ...templated('/input', node.input)]
    case 'model':
      return [
        ...own,
        ...templated('/model', node.model),
        ...templated('/system', node.system),
        ...templated('/prompt', node.prompt),
        ...(node.messages ?? []).flatMap(({ content }, i) => templated(`/messages/${i}/content`, content)),
      ]
    case 'approval':
      return [...own, ...templated('/ask', node.ask), ...templated('/details', node.details)]
    case 'wait':
      return own
    case 'sleep':
      return [...own, ...(typeof node.durationMs === 'string' ? templated('/durationMs', node.durationMs) : [])]
    case 'set':
      return [...own, ...templated('/value', node.value)]
    case 'fail':
      return [...own, ...templated('/message', node.message)]
    case 'switch':
      return [...own, ...node.cases.flatMap(({ when }, i) => plain(`/cases/${i}/when`, when))]
    case 'map':
      return [...own, ...plain('/over', node.over)]
    case 'parallel':
      return own
    case 'loop':
      return [...own, ...plain('/until', node.until, ['iteration', 'last']), ...templated('/initial', node.initial)]
    case 'workflow':
      return [...own, ...templated('/parameters', node.parameters)]
  }
}

/** The blocks inside a node, with the names that only they see. */
export const blocksOf = (node: WorkflowNode): InnerBlock[] => {
  switch (node.type) {
    case 'switch':
      return [
        ...node.cases.map(({ do: block }, i) => ({ pointer: `/cases/${i}/do`, block, extra: [] })),
        ...(node.otherwise ? [{ pointer: '/otherwise', block: node.otherwise, extra: [] }] : []),
      ]
    case 'map':
      return [{ pointer: '/do', block: node.do, extra: ['item', 'index'] }]
    case 'parallel':
      return Object.entries(node.branches).map(([name, block]) => ({ pointer: `/branches/${name}`, block, extra: [] }))
    case 'loop':
      return [{ pointer: '/do', block: node.do, extra: ['iteration', 'last'] }]
    default:
      return []
  }
}

/** The compiled expressions of a place. @throws ExpressionProblem */
export const expressionsAt = (place: Place, names: readonly ScopeName[], nesting?: number): Expression[] => {
  const visible = [...new Set([...names, ...place.extra])]
  if (place.kind === 'expression') return [compileExpression(place.text, visible, nesting)]
  return parseText(place.text, visible, nesting).parts.filter((part) => typeof part === 'object')
}

const allNames: readonly ScopeName[] = ['parameters', 'nodes', 'run', 'item', 'index', 'iteration', 'last', 'error']

/** Ids of nodes that the expressions of a node read, also those inside its blocks; some may be of blocks inside. */
const readBy = (node: WorkflowNode): Set<string> => {
  const read = new Set<string>()
  const note = (expressions: readonly Expression[]): void => {
    for (const { references } of expressions)
      for (const [name, id] of references) if (name === 'nodes' && id !== undefined) read.add(id)
  }
  const visit = (inner: WorkflowNode): void => {
    for (const place of placesOf(inner)) {
      try {
        note(expressionsAt(place, allNames))
      } catch {
        // a bad expression is the validation's to tell; it reads nothing
      }
    }
    for (const { block } of blocksOf(inner)) {
      const hidden = new Set(Object.keys(block.nodes))
      const inside = new Set<string>()
      for (const child of Object.values(block.nodes)) for (const id of readBy(child)) inside.add(id)
      for (const id of outputReads(block)) inside.add(id)
      for (const id of inside) if (!hidden.has(id)) read.add(id)
    }
  }
  visit(node)
  return read
}

const outputReads = (block: WorkflowBlock): Set<string> => {
  const read = new Set<string>()
  if (block.output === undefined) return read
  for (const place of templated('/output', block.output)) {
    try {
      for (const { references } of expressionsAt(place, allNames))
        for (const [name, id] of references) if (name === 'nodes' && id !== undefined) read.add(id)
    } catch {
      // as above
    }
  }
  return read
}

/** The places of a block's output. */
export const outputPlaces = (block: Pick<WorkflowBlock, 'output'>): Place[] => templated('/output', block.output)

/** What each node of a block waits for: other nodes of the same block. */
export const dependenciesOf = (block: Pick<WorkflowBlock, 'nodes'>): Map<string, ReadonlySet<string>> => {
  const ids = Object.keys(block.nodes)
  const known = new Set(ids)
  return new Map(
    ids.map((id) => {
      const node = block.nodes[id] as WorkflowNode
      const wanted = [...(node.needs ?? []), ...readBy(node)].filter((other) => known.has(other))
      return [id, new Set(wanted)]
    }),
  )
}

/** The nodes that nothing else of the block waits for. */
export const lastNodes = (dependencies: ReadonlyMap<string, ReadonlySet<string>>): string[] => {
  const needed = new Set([...dependencies.values()].flatMap((needs) => [...needs]))
  return [...dependencies.keys()].filter((id) => !needed.has(id))
}

/** One cycle, as the nodes along it; undefined when there is none. */
export const cycleIn = (dependencies: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined => {
  const done = new Set<string>()
  const path: string[] = []
  const visit = (id: string): string[] | undefined => {
    const at = path.indexOf(id)
    if (at >= 0) return [...path.slice(at), id]
    if (done.has(id)) return undefined
    path.push(id)
    for (const next of dependencies.get(id) ?? []) {
      const cycle = visit(next)
      if (cycle) return cycle
    }
    path.pop()
    done.add(id)
    return undefined
  }
  for (const id of dependencies.keys()) {
    const cycle = visit(id)
    if (cycle) return cycle
  }
  return undefined
}
