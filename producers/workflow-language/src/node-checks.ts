import { type JsonValue, type NodeOf, type WorkflowBundle, type WorkflowNode, workflowAgentId } from '@omium/schemas'
import type { JsonSchema } from './json-schema.ts'
import { meant, type Problems } from './problems.ts'
import { constantOf, parameterIn, type Reads, schemaAt, type View } from './reads.ts'
import { toolName } from './tools.ts'
import type { Known } from './types.ts'

/** What each type of node may not do, and what its output is. */

export interface Surroundings {
  /** input schemas of agents by id; undefined: not checked */
  readonly agents?: ReadonlyMap<string, JsonSchema | undefined> | undefined
  /** names of models; those that end in `*` stand for all that begin so. undefined: not checked */
  readonly models?: readonly string[] | undefined
  /** what a node calls, with everything that it calls in turn */
  readonly workflow?: ((id: string, version: number | undefined) => WorkflowBundle | undefined) | undefined
  /** ids, for suggestions */
  readonly workflows?: Iterable<string> | undefined
}

const mostTold = 20

const approvalOutput: JsonSchema = {
  type: 'object',
  properties: {
    approved: { type: 'boolean' },
    by: { type: 'string' },
    comment: { type: 'string' },
    timedOut: { type: 'boolean' },
  },
}

export class NodeChecks {
  readonly #parameters: Known
  readonly #surroundings: Surroundings
  readonly #reads: Reads
  readonly #problems: Problems
  readonly #defaultsTold = new Set<string>()

  constructor(parameters: Known, surroundings: Surroundings, reads: Reads, problems: Problems) {
    this.#parameters = parameters
    this.#surroundings = surroundings
    this.#reads = reads
    this.#problems = problems
  }

  /**
   * @param blocks types of the outputs of the blocks inside the node
   * @returns the type of the node's output
   */
  check(node: WorkflowNode, base: string, view: View, blocks: readonly Known[]): Known {
    const { schema, fit, add } = bound(this.#problems)
    switch (node.type) {
      case 'agent': {
        schema(`${base}/outputSchema`, node.outputSchema)
        const expected = this.#agent(`${base}/agent`, node.agent)
        if (expected) fit(`${base}/input`, this.#reads.typeOfTemplate(node.input ?? {}, view), expected)
        return node.outputSchema
      }
      case 'model':
        this.#model(node, base)
        return node.schema ?? { type: 'string' }
      case 'approval':
        return approvalOutput
      case 'wait':
        schema(`${base}/schema`, node.schema)
        return node.schema
      case 'sleep':
        if (typeof node.durationMs === 'string')
          fit(`${base}/durationMs`, this.#reads.typeOfTemplate(node.durationMs, view), { type: 'number' })
        return { type: 'null' }
      case 'set':
        return this.#reads.typeOfTemplate(node.value, view)
      case 'fail':
        return undefined
      case 'switch':
        this.#switch(node, base)
        return undefined
      case 'map':
        return { type: 'array', ...(blocks[0] && { items: blocks[0] as JsonValue }) }
      case 'parallel': {
        const names = Object.keys(node.branches)
        if (names.length === 0) add(`${base}/branches`, 'schema', 'there is no branch', 'at least one branch')
        const properties = names.map((name, i) => [name, (blocks[i] ?? true) as JsonValue])
        return { type: 'object', properties: Object.fromEntries(properties) }
      }
      case 'loop':
        return blocks[0]
      case 'workflow':
        return this.#workflow(node, base, view)
    }
  }

  /** @returns what the agent takes */
  #agent(pointer: string, agent: string): Known {
    const { agents } = this.#surroundings
    if (!agents || agents.has(agent)) return agents?.get(agent)
    if (agent === workflowAgentId) {
      this.#problems.add(pointer, 'unknown_agent', 'a workflow is called by a node of type "workflow"')
      return undefined
    }
    const known = [...agents.keys()].slice(0, mostTold).join(', ') || 'none yet'
    const message = `no worker has registered an agent "${agent}"`
    this.#problems.add(pointer, 'unknown_agent', message, `one of: ${known}`, meant(agent, agents.keys()))
    return undefined
  }

  #model(node: NodeOf<'model'>, base: string): void {
    const { schema, add } = bound(this.#problems)
    this.#modelName(node.model, `${base}/model`)
    if (node.messages && (node.prompt !== undefined || node.system !== undefined)) {
      const expected = 'either `messages`, or `system` and `prompt`'
      add(`${base}/messages`, 'schema', 'there are both messages and a prompt', expected)
    }
    if (!node.messages && node.prompt === undefined)
      add(base, 'missing_input', 'the model is asked nothing', '`prompt` or `messages`')
    schema(`${base}/schema`, node.schema)
    const names = new Set<string>()
    for (const [i, tool] of (node.tools ?? []).entries()) {
      const pointer = `${base}/tools/${i}`
      this.#agent(`${pointer}/agent`, tool.agent)
      schema(`${pointer}/parameters`, tool.parameters)
      const name = toolName(tool)
      if (name === undefined)
        add(
          pointer,
          'missing_input',
          `models cannot call a tool "${tool.agent}"`,
          '`name` of 1 to 64 of A-Z a-z 0-9 _ -',
        )
      else if (names.has(name)) add(pointer, 'schema', `another tool is called "${name}" too`, 'another `name`')
      else names.add(name)
    }
  }

  #modelName(asked: string, pointer: string): void {
    if (!asked.includes('${')) {
      this.#knownModel(asked, pointer, 'error')
      return
    }
    // runs may name another one: a default that does not exist is a warning
    const parameter = parameterIn(asked)
    const instead = parameter && schemaAt(this.#parameters, 'properties', parameter)?.['default']
    if (typeof instead !== 'string' || this.#defaultsTold.has(instead)) return
    this.#defaultsTold.add(instead)
    this.#knownModel(instead, `/parameters/properties/${parameter}/default`, 'warning')
  }

  #knownModel(name: string, pointer: string, severity: 'error' | 'warning'): void {
    const { models } = this.#surroundings
    if (!models || models.some((known) => fits(name, known))) return
    const known = models.slice(0, mostTold).join(', ') || 'none'
    const exact = models.filter((one) => !one.endsWith('*'))
    const message = `no model "${name}" is known`
    this.#problems.add(pointer, 'unknown_model', message, `one of: ${known}`, meant(name, exact), severity)
  }

  #switch({ cases, otherwise }: NodeOf<'switch'>, base: string): void {
    for (const [i, { when }] of cases.entries()) {
      const constant = constantOf(when)
      const pointer = `${base}/cases/${i}`
      if (constant === false)
        this.#problems.add(pointer, 'unreachable', 'the case can never be taken: `when` is never true')
      if (constant === true && (i < cases.length - 1 || otherwise)) {
        const message = 'what comes after this case can never be taken: `when` is always true'
        this.#problems.add(pointer, 'unreachable', message)
      }
    }
  }

  #workflow(node: NodeOf<'workflow'>, base: string, view: View): Known {
    const { workflow, workflows } = this.#surroundings
    if (!workflow) return undefined
    const called = workflow(node.workflow, node.version)?.definition
    if (!called) {
      const what = node.version === undefined ? 'published version' : `version ${node.version}`
      const others = [...(workflows ?? [])].filter((id) => id !== node.workflow)
      const message = `there is no ${what} of a workflow "${node.workflow}"`
      this.#problems.add(`${base}/workflow`, 'unknown_workflow', message, undefined, meant(node.workflow, others))
      return undefined
    }
    if (called.parameters)
      this.#problems.fit(
        `${base}/parameters`,
        this.#reads.typeOfTemplate(node.parameters ?? {}, view),
        called.parameters,
      )
    return called.outputSchema
  }
}

const bound = (problems: Problems) => ({
  schema: problems.schema.bind(problems),
  fit: problems.fit.bind(problems),
  add: problems.add.bind(problems),
})

const fits = (name: string, known: string): boolean =>
  known.endsWith('*') ? name.startsWith(known.slice(0, -1)) : name === known
