import {
  type JsonValue,
  type WorkflowBlock,
  type WorkflowBundle,
  type WorkflowDefinition,
  type WorkflowNode,
  type WorkflowProblem,
  workflowAgentId,
} from '@omium/schemas'
import { checkShape } from './check-definition.ts'
import { type Expression, ExpressionProblem, type ScopeName } from './expressions.ts'
import {
  blocksOf,
  cycleIn,
  dependenciesOf,
  expressionsAt,
  lastNodes,
  outputPlaces,
  type Place,
  placesOf,
} from './graph.ts'
import { type JsonSchema, schemaProblem } from './json-schema.ts'
import { nearest } from './suggestions.ts'
import { parseText } from './templates.ts'
import { fromCel, itemOf, type Known, memberOf, misfits, typesOf } from './types.ts'

/**
 * Says everything that is wrong with a definition, each with its place, what was expected, and what may have been meant.
 *
 * 1. Pure: what exists elsewhere (agents, models, workflows) is given; what is not given is not checked.
 * 2. All problems at once: one that hides others (a node that does not fit the schema) hides only what is inside it.
 * 3. One-sided: a type is complained about only when it can never fit.
 */

export interface Surroundings {
  /** input schemas of agents by id; undefined: not checked */
  readonly agents?: ReadonlyMap<string, JsonSchema | undefined> | undefined
  readonly models?: ReadonlySet<string> | undefined
  /** what a node calls, with everything that it calls in turn */
  readonly workflow?: ((id: string, version: number | undefined) => WorkflowBundle | undefined) | undefined
  /** ids, for suggestions */
  readonly workflows?: Iterable<string> | undefined
}

export interface Validation {
  readonly problems: readonly WorkflowProblem[]
  /** present when nothing is wrong */
  readonly definition: WorkflowDefinition | undefined
}

const maxNodes = 500
const maxDepth = 8

interface View {
  readonly names: readonly ScopeName[]
  /** types of the outputs of the nodes that can be seen */
  readonly outputs: ReadonlyMap<string, Known>
  readonly item?: Known
  readonly last?: Known
}

const approvalOutput: JsonSchema = {
  type: 'object',
  properties: {
    approved: { type: 'boolean' },
    by: { type: 'string' },
    comment: { type: 'string' },
    timedOut: { type: 'boolean' },
  },
}

export const validateWorkflow = (given: JsonValue, surroundings: Surroundings = {}): Validation => {
  const { problems: shape, usable, placeholders } = checkShape(given)
  if (!usable) return { problems: shape, definition: undefined }
  const validator = new Validator(usable, surroundings, placeholders)
  const problems = [...shape, ...validator.run()]
  return { problems, definition: problems.some(({ severity }) => severity === 'error') ? undefined : usable }
}

class Validator {
  readonly #definition: WorkflowDefinition
  readonly #surroundings: Surroundings
  readonly #placeholders: ReadonlySet<string>
  readonly #problems: WorkflowProblem[] = []
  /** in which block every node of the definition is, to tell those who reach into another one */
  readonly #homes = new Map<string, string>()
  #nodes = 0

  constructor(definition: WorkflowDefinition, surroundings: Surroundings, placeholders: ReadonlySet<string>) {
    this.#definition = definition
    this.#surroundings = surroundings
    this.#placeholders = placeholders
  }

  run(): readonly WorkflowProblem[] {
    const { parameters, outputSchema } = this.#definition
    this.#schema('/parameters', parameters)
    this.#schema('/outputSchema', outputSchema)
    if (parameters && !(typesOf(parameters) ?? ['object']).includes('object'))
      this.#add('/parameters/type', 'schema', 'the parameters of a workflow are an object', 'object')
    this.#survey(this.#definition, '')
    const view: View = { names: ['parameters', 'nodes', 'run'], outputs: new Map() }
    const output = this.#block(this.#definition, '', view, 0)
    if (outputSchema) this.#fit('/output', output, outputSchema)
    const key = this.#definition.concurrency?.key
    if (key)
      this.#place(
        '/concurrency/key',
        { pointer: '', text: key, kind: 'template', extra: [] },
        { names: ['parameters'], outputs: new Map() },
        1,
      )
    if (this.#nodes > maxNodes) this.#add('/nodes', 'limit', `${this.#nodes} nodes in all`, `at most ${maxNodes}`)
    return this.#problems
  }

  #add(
    pointer: string,
    code: WorkflowProblem['code'],
    message: string,
    expected?: string,
    suggestion?: string,
    severity: WorkflowProblem['severity'] = 'error',
  ): void {
    this.#problems.push({
      pointer,
      code,
      message,
      ...(expected !== undefined && { expected }),
      ...(suggestion !== undefined && { suggestion }),
      severity,
    })
  }

  #schema(pointer: string, schema: JsonSchema | undefined): void {
    const problem = schema && schemaProblem(schema)
    if (problem) this.#add(pointer, 'schema', problem, 'a JSON Schema')
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
      this.#add(base, 'limit', 'blocks are nested too deep', `at most ${maxDepth} levels`)
      return undefined
    }
    const ids = Object.keys(block.nodes)
    if (ids.length === 0) {
      this.#add(`${base}/nodes`, 'schema', 'there is no node', 'at least one node')
      return undefined
    }
    for (const id of ids) {
      if (outer.outputs.has(id))
        this.#add(`${base}/nodes/${id}`, 'schema', `a node around this block is called "${id}" too`, 'another id')
    }
    const dependencies = dependenciesOf(block)
    const cycle = cycleIn(dependencies)
    if (cycle) {
      const text = cycle.join(' -> ')
      const first = cycle[0] as string
      this.#add(
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
      for (const place of outputPlaces(block)) this.#place(base, place, view)
      return this.#typeOf(block.output, view)
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
        this.#add(`${base}/nodes/${id}${off ? '/when' : ''}`, 'unreachable', `the node can never run: ${why}`)
      }
      return never.has(id)
    }
    for (const id of Object.keys(block.nodes)) visit(id)
    return never
  }

  /** @returns the type of the node's output */
  #node(node: WorkflowNode, base: string, id: string, view: View, depth: number): Known {
    for (const [i, need] of (node.needs ?? []).entries()) {
      if (need === id) this.#add(`${base}/needs/${i}`, 'cycle', 'the node waits for itself')
      else if (!view.outputs.has(need)) this.#unknownNode(`${base}/needs/${i}`, need, view)
    }
    for (const place of placesOf(node)) {
      const extra: View = place.extra.includes('last') ? { ...view, last: undefined } : view
      this.#place(base, place, extra)
    }
    const blockTypes = blocksOf(node).map(({ pointer, block, extra }) => {
      const names = [...new Set([...view.names, ...extra])]
      const item = node.type === 'map' ? itemOf(this.#typeOfExpression(node.over, view)) : view.item
      return this.#block(block, `${base}${pointer}`, { ...view, names, item }, depth + 1)
    })
    return this.#specific(node, base, view, blockTypes)
  }

  #specific(node: WorkflowNode, base: string, view: View, blocks: readonly Known[]): Known {
    switch (node.type) {
      case 'agent': {
        this.#schema(`${base}/outputSchema`, node.outputSchema)
        const expected = this.#agent(`${base}/agent`, node.agent)
        if (expected) this.#fit(`${base}/input`, this.#typeOf(node.input ?? {}, view), expected)
        return node.outputSchema
      }
      case 'model':
        return this.#model(node, base)
      case 'approval':
        return approvalOutput
      case 'wait':
        this.#schema(`${base}/schema`, node.schema)
        return node.schema
      case 'sleep':
        if (typeof node.durationMs === 'string') {
          const type = this.#typeOf(node.durationMs, view)
          this.#fit(`${base}/durationMs`, type, { type: 'number' })
        }
        return { type: 'null' }
      case 'set':
        return this.#typeOf(node.value, view)
      case 'fail':
        return undefined
      case 'switch':
        for (const [i, { when }] of node.cases.entries()) {
          const constant = constantOf(when)
          if (constant === false)
            this.#add(`${base}/cases/${i}`, 'unreachable', 'the case can never be taken: `when` is never true')
          if (constant === true && (i < node.cases.length - 1 || node.otherwise))
            this.#add(
              `${base}/cases/${i}`,
              'unreachable',
              'what comes after this case can never be taken: `when` is always true',
            )
        }
        return undefined
      case 'map':
        return { type: 'array', ...(blocks[0] && { items: blocks[0] as JsonValue }) }
      case 'parallel': {
        const names = Object.keys(node.branches)
        if (names.length === 0) this.#add(`${base}/branches`, 'schema', 'there is no branch', 'at least one branch')
        return {
          type: 'object',
          properties: Object.fromEntries(names.map((name, i) => [name, (blocks[i] ?? true) as JsonValue])),
        }
      }
      case 'loop':
        return blocks[0]
      case 'workflow':
        return this.#workflow(node, base, view)
    }
  }

  #agent(pointer: string, agent: string): Known {
    const { agents } = this.#surroundings
    if (!agents || agents.has(agent)) return agents?.get(agent)
    if (agent === workflowAgentId) {
      this.#add(pointer, 'unknown_agent', 'a workflow is called by a node of type "workflow"')
      return undefined
    }
    const meant = nearest(agent, agents.keys())
    const known = [...agents.keys()].slice(0, 20).join(', ') || 'none yet'
    this.#add(
      pointer,
      'unknown_agent',
      `no worker has registered an agent "${agent}"`,
      `one of: ${known}`,
      meant && `did you mean "${meant}"?`,
    )
    return undefined
  }

  #model(node: Extract<WorkflowNode, { type: 'model' }>, base: string): Known {
    const { models } = this.#surroundings
    if (models && !node.model.includes('${') && !models.has(node.model)) {
      const meant = nearest(node.model, models)
      this.#add(
        `${base}/model`,
        'unknown_model',
        `no model "${node.model}" is known`,
        [...models].slice(0, 20).join(', '),
        meant && `did you mean "${meant}"?`,
      )
    }
    if (node.messages && (node.prompt !== undefined || node.system !== undefined))
      this.#add(
        `${base}/messages`,
        'schema',
        'there are both messages and a prompt',
        'either `messages`, or `system` and `prompt`',
      )
    if (!node.messages && node.prompt === undefined)
      this.#add(base, 'missing_input', 'the model is asked nothing', '`prompt` or `messages`')
    this.#schema(`${base}/schema`, node.schema)
    for (const [i, tool] of (node.tools ?? []).entries()) {
      this.#agent(`${base}/tools/${i}/agent`, tool.agent)
      this.#schema(`${base}/tools/${i}/parameters`, tool.parameters)
    }
    return node.schema ?? { type: 'string' }
  }

  #workflow(node: Extract<WorkflowNode, { type: 'workflow' }>, base: string, view: View): Known {
    const { workflow, workflows } = this.#surroundings
    if (!workflow) return undefined
    const called = workflow(node.workflow, node.version)?.definition
    if (!called) {
      const meant = nearest(
        node.workflow,
        [...(workflows ?? [])].filter((id) => id !== node.workflow),
      )
      const what = node.version === undefined ? 'published version' : `version ${node.version}`
      this.#add(
        `${base}/workflow`,
        'unknown_workflow',
        `there is no ${what} of a workflow "${node.workflow}"`,
        undefined,
        meant && `did you mean "${meant}"?`,
      )
      return undefined
    }
    if (called.parameters) this.#fit(`${base}/parameters`, this.#typeOf(node.parameters ?? {}, view), called.parameters)
    return called.outputSchema
  }

  #fit(pointer: string, actual: Known, expected: Known): void {
    for (const misfit of misfits(actual, expected))
      this.#add(`${pointer}${misfit.pointer}`, misfit.code, misfit.message, misfit.expected, misfit.suggestion)
  }

  #unknownNode(pointer: string, id: string, view: View): void {
    const home = this.#homes.get(id)
    const meant = nearest(id, view.outputs.keys())
    const suggestion = home
      ? `"${id}" is inside of "${home}": use nodes.${home}.output`
      : meant && `did you mean "${meant}"?`
    this.#add(pointer, 'unknown_node', `there is no node "${id}" here`, [...view.outputs.keys()].join(', '), suggestion)
  }

  /** Checks the expressions of one place, and what kind of value they have to give there. */
  #place(base: string, place: Place, view: View, nesting?: number): void {
    const pointer = `${base}${place.pointer}`
    let expressions: Expression[]
    try {
      expressions = expressionsAt(place, view.names, nesting)
    } catch (error) {
      if (!(error instanceof ExpressionProblem)) throw error
      const unknown = /^Unknown variable: (\w+)/.exec(error.message)?.[1]
      const visible = [...view.names, ...place.extra]
      const suggestion = unknown && this.#variableSuggestion(unknown, visible)
      this.#add(
        pointer,
        'expression',
        `${error.message}, at character ${error.start + 1}`,
        unknown ? visible.join(', ') : undefined,
        suggestion,
      )
      return
    }
    const loose = place.extra.includes('last') ? { ...view, last: undefined } : view
    for (const expression of expressions)
      for (const reference of expression.references) this.#reference(pointer, reference, loose)
    if (place.kind === 'template') return
    const wanted = place.pointer === '/over' ? 'array' : 'boolean'
    const [expression] = expressions
    const type = expression && (expression.path ? this.#typeOfPath(expression.path, view) : fromCel(expression.type))
    const types = typesOf(type)
    if (types && !types.includes(wanted))
      this.#add(pointer, 'type_mismatch', `the expression gives ${types.join(' or ')}`, wanted)
  }

  #variableSuggestion(unknown: string, visible: readonly string[]): string | undefined {
    if (this.#homes.has(unknown)) return `write nodes.${unknown}.output`
    const properties = this.#definition.parameters?.['properties']
    if (properties && typeof properties === 'object' && unknown in properties) return `write parameters.${unknown}`
    const meant = nearest(unknown, visible)
    return meant && `did you mean "${meant}"?`
  }

  #reference(pointer: string, [name, ...rest]: readonly string[], view: View): void {
    if (name === 'parameters') this.#members(pointer, 'parameters', this.#definition.parameters, rest)
    else if (name === 'item') this.#members(pointer, 'item', view.item, rest)
    else if (name === 'nodes') {
      const [id, part, ...members] = rest
      if (id === undefined) {
        this.#add(pointer, 'expression', '`nodes` alone, or with a computed name, cannot be read', 'nodes.<id>.output')
      } else if (!view.outputs.has(id)) this.#unknownNode(pointer, id, view)
      else if (part !== undefined && part !== 'output' && part !== 'status') {
        this.#add(
          pointer,
          'expression',
          `a node has no "${part}"`,
          'nodes.<id>.output or nodes.<id>.status',
          `did you mean nodes.${id}.output.${part}?`,
        )
      } else if (part === 'output') this.#members(pointer, `nodes.${id}.output`, view.outputs.get(id), members)
    }
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
        this.#add(
          pointer,
          'missing_input',
          `${walked} has no "${member}"`,
          expected,
          suggestion && `did you mean "${suggestion}"?`,
        )
        return
      }
      current = next.type
      walked += `.${member}`
    }
  }

  #typeOfPath([name, ...rest]: readonly string[], view: View): Known {
    const [id, part, ...members] = rest
    if (name === 'parameters') return memberType(this.#definition.parameters, rest)
    if (name === 'item') return memberType(view.item, rest)
    if (name === 'index' || name === 'iteration') return { type: 'integer' }
    if (name === 'nodes' && id !== undefined && part === 'output') return memberType(view.outputs.get(id), members)
    if (name === 'nodes' && part === 'status') return { type: 'string' }
    return undefined
  }

  #typeOfExpression(source: string, view: View): Known {
    try {
      const [expression] = expressionsAt({ pointer: '', text: source, kind: 'expression', extra: [] }, view.names)
      return expression?.path ? this.#typeOfPath(expression.path, view) : expression && fromCel(expression.type)
    } catch {
      return undefined
    }
  }

  #typeOf(template: JsonValue, view: View): Known {
    if (typeof template === 'string') return this.#typeOfText(template, view)
    if (template === null) return { type: 'null' }
    if (typeof template === 'boolean') return { type: 'boolean', const: template }
    if (typeof template === 'number')
      return { type: Number.isInteger(template) ? 'integer' : 'number', const: template }
    if (Array.isArray(template)) return { type: 'array' }
    const properties = Object.entries(template).map(([key, member]) => [
      key,
      (this.#typeOf(member, view) ?? true) as JsonValue,
    ])
    return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: false }
  }

  #typeOfText(text: string, view: View): Known {
    if (!text.includes('${')) return { type: 'string', const: text }
    try {
      const { single } = parseText(text, view.names)
      if (!single) return { type: 'string' }
      return single.path ? this.#typeOfPath(single.path, view) : fromCel(single.type)
    } catch {
      return undefined
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

/** The value of an expression that reads nothing, undefined otherwise. */
const constantOf = (source: string | undefined): JsonValue | undefined => {
  if (source === undefined) return undefined
  try {
    const [expression] = expressionsAt({ pointer: '', text: source, kind: 'expression', extra: [] }, [
      'parameters',
      'nodes',
      'run',
      'item',
      'index',
      'iteration',
      'last',
    ])
    return expression && expression.references.length === 0 ? expression.evaluate({}) : undefined
  } catch {
    return undefined
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
