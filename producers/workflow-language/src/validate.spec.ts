import type { JsonValue } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { checkParameters } from './json-schema.ts'
import type { Surroundings } from './node-checks.ts'
import { validateWorkflow } from './validate.ts'

const agents: Surroundings['agents'] = new Map([
  [
    'researcher',
    {
      type: 'object',
      properties: { topic: { type: 'string' }, depth: { enum: ['short', 'long'] }, limit: { type: 'integer' } },
      required: ['topic'],
      additionalProperties: false,
    },
  ],
  ['anything', undefined],
])
const check = (
  nodes: Record<string, JsonValue>,
  more: Record<string, JsonValue> = {},
  around: Surroundings = { agents },
) =>
  validateWorkflow({ name: 'w', nodes, ...more }, around).problems.map(
    ({ pointer, code, message, expected, suggestion }) =>
      [pointer, code, message, expected && `expected: ${expected}`, suggestion].filter(Boolean).join(' | '),
  )
const parameters = {
  type: 'object',
  properties: {
    topic: { type: 'string' },
    count: { type: 'integer' },
    tags: { type: 'array', items: { type: 'string' } },
  },
  required: ['topic'],
}

describe('a definition that is right', () => {
  it('has no problems, and comes back with its defaults', () => {
    const { problems, definition } = validateWorkflow(
      {
        name: 'good',
        parameters,
        nodes: {
          research: { type: 'agent', agent: 'researcher', input: { topic: '${parameters.topic}' } },
          each: {
            type: 'map',
            over: 'parameters.tags',
            do: { nodes: { one: { type: 'model', model: 'm', prompt: '${item}: ${nodes.research.output}' } } },
          },
          done: { type: 'set', value: { n: '${size(nodes.each.output)}' }, when: 'size(parameters.tags) > 0' },
        },
        output: '${nodes.done.output.n}',
      },
      { agents },
    )
    expect(problems).toEqual([])
    expect(definition?.nodes['each']).toMatchObject({ concurrency: 10, maxItems: 1000 })
  })
})

describe('a definition with problems names each of them', () => {
  it('of shape: unknown members, node types and values, all at once', () => {
    expect(
      check({
        a: { type: 'agnet', agent: 'x' },
        b: { type: 'set', value: 1, wehn: 'true' },
        'c-d': { type: 'set', value: 1 },
      }),
    ).toEqual([
      expect.stringMatching(
        /^\/nodes\/a\/type \| schema \| there is no node type "agnet" \| .*did you mean "agent"\?$/,
      ),
      '/nodes/b/wehn | schema | "wehn" is not known here | did you mean "when"?',
      expect.stringMatching(/^\/nodes\/c-d \| schema \| use 1 to 63/),
    ])
  })

  it('of the graph, also when other nodes do not even fit the schema', () => {
    expect(
      check({
        broken: { type: 'nothing' },
        a: { type: 'set', value: '${nodes.b.output}', needs: ['brokn'] },
        b: { type: 'set', value: '${nodes.a.output}' },
        c: { type: 'set', value: 1, when: 'false' },
        d: { type: 'set', value: 1, needs: ['c'] },
      }).slice(1),
    ).toEqual([
      '/nodes/a | cycle | the nodes wait for each other: a -> b -> a | expected: no cycle | use a loop node to repeat something',
      '/nodes/c/when | unreachable | the node can never run: `when` is never true',
      '/nodes/d | unreachable | the node can never run: it only waits for nodes that never run: c',
      '/nodes/a/needs/0 | unknown_node | there is no node "brokn" here | expected: broken, a, b, c, d | did you mean "broken"?',
    ])
  })

  it('of expressions: syntax, names, unknown nodes, and what is inside of blocks', () => {
    expect(
      check(
        {
          a: { type: 'set', value: 'x ${parameters.topic +}' },
          b: { type: 'set', value: '${topic}' },
          c: { type: 'set', value: '${nodes.x1.output}', when: 'nodes.aa.output == 1' },
          d: { type: 'set', value: '${nodes.a.text}' },
          m: { type: 'map', over: 'parameters.tags', do: { nodes: { x1: { type: 'set', value: '${itme}' } } } },
        },
        { parameters },
      ),
    ).toEqual([
      '/nodes/a/value | expression | Unexpected token: EOF, at character 23',
      '/nodes/b/value | expression | Unknown variable: topic, at character 3 | expected: parameters, nodes, run | write parameters.topic',
      '/nodes/c/when | unknown_node | there is no node "aa" here | expected: a, b, c, d, m | did you mean "a"?',
      '/nodes/c/value | unknown_node | there is no node "x1" here | expected: a, b, c, d, m | "x1" is inside of "m": use nodes.m.output',
      '/nodes/d/value | expression | a node has no "text" | expected: nodes.<id>.output or nodes.<id>.status | did you mean nodes.a.output.text?',
      '/nodes/m/do/nodes/x1/value | expression | Unknown variable: itme, at character 3 | expected: parameters, nodes, run, item, index | did you mean "item"?',
    ])
  })

  it('of agents, their inputs, and the types between steps', () => {
    expect(
      check(
        {
          a: { type: 'agent', agent: 'reseacher', input: {} },
          b: { type: 'agent', agent: 'researcher', input: { tpoic: 'x', depth: 'longer' } },
          c: {
            type: 'agent',
            agent: 'researcher',
            input: { topic: '${nodes.list.output}', limit: '${parameters.topic}' },
          },
          list: { type: 'map', over: 'parameters.count', do: { nodes: { n: { type: 'set', value: 1 } } } },
          e: { type: 'set', value: 1, when: 'parameters.topic' },
          f: { type: 'set', value: '${nodes.object.output.titel}' },
          object: { type: 'set', value: { title: 'x' } },
          g: { type: 'set', value: '${parameters.topics}' },
        },
        { parameters },
      ),
    ).toEqual([
      '/nodes/a/agent | unknown_agent | no worker has registered an agent "reseacher" | expected: one of: researcher, anything | did you mean "researcher"?',
      '/nodes/b/input | missing_input | "topic" is required and not given | expected: string | "tpoic" may be meant as "topic"',
      '/nodes/b/input/tpoic | type_mismatch | there is no "tpoic" | expected: one of topic, depth, limit | did you mean "topic"?',
      '/nodes/b/input/depth | type_mismatch | "longer" is none of the values that are allowed | expected: "short", "long" | long',
      '/nodes/list/over | type_mismatch | the expression gives integer | expected: array',
      '/nodes/c/input/topic | type_mismatch | gives array, not string | expected: string',
      '/nodes/c/input/limit | type_mismatch | gives string, not integer | expected: integer',
      '/nodes/e/when | type_mismatch | the expression gives string | expected: boolean',
      '/nodes/f/value | missing_input | nodes.object.output has no "titel" | expected: one of title | did you mean "title"?',
      '/nodes/g/value | missing_input | parameters has no "topics" | expected: one of topic, count, tags | did you mean "topic"?',
    ])
  })

  it('of models, schemas, called workflows and outputs', () => {
    const child = {
      name: 'child',
      parameters: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
      nodes: {},
    }
    const around: Surroundings = {
      models: ['gpt-4o-mini', 'claude-*'],
      workflows: ['child'],
      workflow: (id) => (id === 'child' ? ({ definition: child, subworkflows: {} } as never) : undefined),
    }
    expect(
      check(
        {
          a: { type: 'model', model: 'gpt-4o-mni', prompt: 'x', schema: { type: 'strin' } },
          b: { type: 'model', model: '${parameters.model}' },
          c: { type: 'workflow', workflow: 'chidl', parameters: {} },
          d: { type: 'workflow', workflow: 'child', parameters: { n: 'one' } },
        },
        { output: 'text', outputSchema: { type: 'object' } },
        around,
      ),
    ).toEqual([
      '/nodes/a/model | unknown_model | no model "gpt-4o-mni" is known | expected: one of: gpt-4o-mini, claude-* | did you mean "gpt-4o-mini"?',
      expect.stringMatching(/^\/nodes\/a\/schema \| schema \| the JSON Schema cannot be used/),
      '/nodes/b | missing_input | the model is asked nothing | expected: `prompt` or `messages`',
      '/nodes/c/workflow | unknown_workflow | there is no published version of a workflow "chidl" | did you mean "child"?',
      '/nodes/d/parameters/n | type_mismatch | gives string, not integer | expected: integer',
      '/output | type_mismatch | gives string, not object | expected: object',
    ])
  })

  it('of models that a run may name otherwise: a warning, told once, where the default is', () => {
    const ask = { type: 'model', model: '${parameters.model}', prompt: 'x' }
    const definition = {
      name: 'w',
      parameters: { type: 'object', properties: { model: { type: 'string', default: 'gpt-4o-mini' } } },
      nodes: { a: ask, b: ask },
    }
    const { problems, definition: usable } = validateWorkflow(definition, {
      models: ['claude-haiku-4-5', 'gpt-4o-min'],
    })
    expect(problems).toMatchObject([
      {
        pointer: '/parameters/properties/model/default',
        code: 'unknown_model',
        severity: 'warning',
        suggestion: 'did you mean "gpt-4o-min"?',
      },
    ])
    expect(usable).toBeDefined()
  })

  it.each([[undefined], [['*']], [['gpt-*']]])('not of models that only their provider knows: %j', (models) => {
    expect(check({ a: { type: 'model', model: 'gpt-new', prompt: 'x' } }, {}, { models })).toEqual([])
  })

  it('of tools: agents that nobody knows, and names that models could not tell apart or say', () => {
    const tools = [
      { agent: 'reseacher' },
      { agent: 'omium.workflow' },
      { agent: 'researcher' },
      { agent: 'anything', name: 'researcher' },
      { agent: '4u' },
      { agent: '4u', name: 'for_you', parameters: { type: 'strin' } },
    ]
    const known: Surroundings = { agents: new Map([...(agents ?? []), ['4u', undefined]]) }
    expect(check({ a: { type: 'model', model: 'm', prompt: 'x', tools } }, {}, known)).toEqual([
      '/nodes/a/tools/0/agent | unknown_agent | no worker has registered an agent "reseacher" | expected: one of: researcher, anything, 4u | did you mean "researcher"?',
      '/nodes/a/tools/1/agent | unknown_agent | a workflow is called by a node of type "workflow"',
      '/nodes/a/tools/3 | schema | another tool is called "researcher" too | expected: another `name`',
      '/nodes/a/tools/4 | missing_input | models cannot call a tool "4u" | expected: `name` of 1 to 64 of A-Z a-z 0-9 _ -',
      expect.stringMatching(/^\/nodes\/a\/tools\/5\/parameters \| schema \| the JSON Schema cannot be used/),
    ])
  })

  it('of size', () => {
    const nodes = Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`n${i}`, { type: 'set', value: i }]))
    expect(check(nodes)).toEqual(['/nodes | limit | 501 nodes in all | expected: at most 500'])
  })

  it('whatever the value is', () => {
    for (const value of [null, 1, 'text', [], {}, { nodes: 3 }, { name: 1, nodes: { a: null } }])
      expect(validateWorkflow(value as JsonValue).problems.length).toBeGreaterThan(0)
  })
})

describe('a definition that is made to keep the validation busy', () => {
  it('is looked at once, however many ways lead to a node that never runs', () => {
    const nodes: Record<string, JsonValue> = { start: { type: 'set', value: 1, when: 'false' } }
    const layer = (i: number) => Array.from({ length: 10 }, (_, j) => `n${i}x${j}`)
    for (let i = 0; i < 40; i++)
      for (const id of layer(i)) nodes[id] = { type: 'set', value: 1, needs: i === 0 ? ['start'] : layer(i - 1) }
    expect(check(nodes)).toHaveLength(401)
  })

  it('cannot have a key of concurrency that the platform would not evaluate', () => {
    const key = '${parameters.tags.map(a, parameters.tags.map(b, b))}'
    const said = check({ a: { type: 'set', value: 1 } }, { parameters, concurrency: { limit: 1, key } })
    expect(said).toMatchObject([expect.stringContaining('comprehensions nest at most 1 deep')])
  })

  it('cannot have a pattern that takes for ever', () => {
    const schema = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } }
    const begun = performance.now()
    expect(() => checkParameters(schema, { a: `${'a'.repeat(40)}!` })).toThrow(/must match pattern/)
    expect(checkParameters(schema, { a: 'aaa' })).toEqual({ a: 'aaa' })
    const two = { properties: { a: { pattern: '^a$' }, b: { pattern: '^b$' } } }
    expect(() => checkParameters(two, { a: 'a', b: 'a' })).toThrow(/\/b: must match pattern/)
    expect(performance.now() - begun).toBeLessThan(10_000)
    const said = check(
      { a: { type: 'set', value: 1 } },
      { parameters: { type: 'object', properties: { a: { pattern: '(?=a)b' } } } },
    )
    expect(said).toMatchObject([expect.stringContaining('the JSON Schema cannot be used')])
  })
})
