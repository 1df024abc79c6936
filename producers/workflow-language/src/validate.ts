import type { JsonValue, WorkflowBlock, WorkflowDefinition, WorkflowNode, WorkflowProblem } from '@omium/schemas'
import { checkShape } from './check-definition.ts'
import { blocksOf, cycleIn, dependenciesOf, lastNodes, outputPlaces, placesOf } from './graph.ts'
import type { JsonSchema } from './json-schema.ts'
import { NodeChecks, type Surroundings } from './node-checks.ts'
import { Problems } from './problems.ts'
import { constantOf, Reads, type View } from './reads.ts'
import { itemOf, type Known, typesOf } from './types.ts'

/**
 * Says everything that is wrong with a definition, each with its place, what was expected, and what may have been meant.
 *
 * 1. Pure: what exists elsewhere (agents, models, workflows) is given; what is not given is not checked.
 * 2. All problems at once: one that hides others (a node that does not fit the schema) hides only what is inside it.
 * 3. One-sided: a type is complained about only when it can never fit.
 *
 * Here: blocks and the order of their nodes. Each type of node is in `node-checks.ts`, what expressions read in `reads.ts`.
 */

export interface Validation {
  readonly problems: readonly WorkflowProblem[]
  /** present when nothing is wrong */
  readonly definition: WorkflowDefinition | undefined
}

const maxNodes = 500
const maxDepth = 8

export const validateWorkflow = (given: JsonValue, surroundings: Surroundings = {}): Validation => {
  const { problems: shape, usable, placeholders } = checkShape(given)
  if (!usable) return { problems: shape, definition: undefined }
  const problems = [...shape, ...new Validator(usable, surroundings, placeholders).run()]
  return { problems, definition: problems.some(({ severity }) => severity === 'error') ? undefined : usable }
}

class Validator {
  readonly #definition: WorkflowDefinition
  readonly #placeholders: ReadonlySet<string>
  readonly #problems = new Problems()
  readonly #homes = new Map<string, string>()
  readonly #reads: Reads
  readonly #nodeChecks: NodeChecks
  #nodes = 0

  constructor(definition: WorkflowDefinition, surroundings: Surroundings, placeholders: ReadonlySet<string>) {
    const { parameters } = definition
    this.#definition = definition
    this.#placeholders = placeholders
    this.#reads = new Reads(parameters, this.#homes, this.#problems)
    this.#nodeChecks = new NodeChecks(parameters, surroundings, this.#reads, this.#problems)
  }

  run(): readonly WorkflowProblem[] {
    const { parameters, outputSchema, concurrency } = this.#definition
    const problems = this.#problems
    problems.schema('/parameters', parameters)
    problems.schema('/outputSchema', outputSchema)
    if (parameters && !(typesOf(parameters) ?? ['object']).includes('object'))
      problems.add('/parameters/type', 'schema', 'the parameters of a workflow are an object', 'object')
    this.#survey(this.#definition, '')
    const view: View = { names: ['parameters', 'nodes', 'run'], outputs: new Map() }
    const output = this.#block(this.#definition, '', view, 0)
    if (outputSchema) problems.fit('/output', output, outputSchema)
    if (concurrency?.key)
      this.#reads.check(
        '/concurrency/key',
        { pointer: '', text: concurrency.key, kind: 'template', extra: [] },
        { names: ['parameters'], outputs: new Map() },
        1,
      )
    if (this.#nodes > maxNodes) problems.add('/nodes', 'limit', `${this.#nodes} nodes in all`, `at most ${maxNodes}`)
    return problems.found
  }

  #survey(block: Pick<WorkflowBlock, 'nodes'>, home: string): void {
    for (const [id, node] of Object.entries(block.nodes)) {
      this.#nodes++
      if (!this.#homes.has(id)) this.#homes.set(id, home)
      for (const inner of blocksOf(node)) this.#survey(inner.block, home || id)
    }
  }

  /** @returns the type of the block's output */
  #block(block: WorkflowBlock, base: string, outer: View, depth: number): Known {
    if (depth > maxDepth) {
      this.#problems.add(base, 'limit', 'blocks are nested too deep', `at most ${maxDepth} levels`)
      return undefined
    }
    const ids = Object.keys(block.nodes)
    if (ids.length === 0) {
      this.#problems.add(`${base}/nodes`, 'schema', 'there is no node', 'at least one node')
      return undefined
    }
    for (const id of ids) {
      if (outer.outputs.has(id))
        this.#problems.add(
          `${base}/nodes/${id}`,
          'schema',
          `a node around this block is called "${id}" too`,
          'another id',
        )
    }
    const dependencies = dependenciesOf(block)
    const cycle = cycleIn(dependencies)
    if (cycle) {
      const text = cycle.join(' -> ')
      const first = cycle[0] as string
      this.#problems.add(
        `${base}/nodes/${first}`,
        'cycle',
        `the nodes wait for each other: ${text}`,
        'no cycle',
        'use a loop node to repeat something',
      )
    }
    const outputs = new Map(outer.outputs)
    for (const id of ids) outputs.set(id, undefined)
    const view: View = { ...outer, outputs }
    const never = this.#unreachable(block, base, dependencies)
    for (const id of cycle ? ids : inOrder(dependencies)) {
      const node = block.nodes[id] as WorkflowNode
      const output = this.#node(node, `${base}/nodes/${id}`, id, view, depth)
      // a placeholder stands for a node of which nothing is known
      const known = !node.onError && !(depth === 0 && this.#placeholders.has(id)) && !never.has(id)
      outputs.set(id, known ? output : undefined)
    }
    if (block.output !== undefined) {
      for (const place of outputPlaces(block)) this.#reads.check(base, place, view)
      return this.#reads.typeOfTemplate(block.output, view)
    }
    const last = lastNodes(dependencies)
    if (last.length === 1) return outputs.get(last[0] as string)
    return {
      type: 'object',
      properties: Object.fromEntries(last.map((id) => [id, outputs.get(id) ?? true])),
    } as JsonSchema
  }

  #unreachable(
    block: Pick<WorkflowBlock, 'nodes'>,
    base: string,
    dependencies: ReadonlyMap<string, ReadonlySet<string>>,
  ): Set<string> {
    const never = new Set<string>()
    const looked = new Set<string>()
    // each node once: what it waits for is known by then, or waits for it in turn
    const visit = (id: string): boolean => {
      if (looked.has(id)) return never.has(id)
      looked.add(id)
      const node = block.nodes[id] as WorkflowNode
      const needs = [...(dependencies.get(id) ?? [])]
      const off = constantOf(node.when) === false
      const cutOff = needs.length > 0 && needs.every(visit)
      if (off || cutOff) {
        never.add(id)
        const why = off ? '`when` is never true' : `it only waits for nodes that never run: ${needs.join(', ')}`
        this.#problems.add(`${base}/nodes/${id}${off ? '/when' : ''}`, 'unreachable', `the node can never run: ${why}`)
      }
      return never.has(id)
    }
    for (const id of Object.keys(block.nodes)) visit(id)
    return never
  }

  /** @returns the type of the node's output */
  #node(node: WorkflowNode, base: string, id: string, view: View, depth: number): Known {
    for (const [i, need] of (node.needs ?? []).entries()) {
      if (need === id) this.#problems.add(`${base}/needs/${i}`, 'cycle', 'the node waits for itself')
      else if (!view.outputs.has(need)) this.#reads.unknownNode(`${base}/needs/${i}`, need, view)
    }
    for (const place of placesOf(node)) this.#reads.check(base, place, view)
    const blocks = blocksOf(node).map(({ pointer, block, extra }) => {
      const names = [...new Set([...view.names, ...extra])]
      const item = node.type === 'map' ? itemOf(this.#reads.typeOfExpression(node.over, view)) : view.item
      return this.#block(block, `${base}${pointer}`, { ...view, names, item }, depth + 1)
    })
    return this.#nodeChecks.check(node, base, view, blocks)
  }
}

/** Each node after those that it waits for. Without cycles only. */
const inOrder = (dependencies: ReadonlyMap<string, ReadonlySet<string>>): string[] => {
  const order = new Set<string>()
  const visit = (id: string): void => {
    if (order.has(id)) return
    for (const need of dependencies.get(id) ?? []) visit(need)
    order.add(id)
  }
  for (const id of dependencies.keys()) visit(id)
  return [...order]
}
