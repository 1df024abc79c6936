import type { JsonValue, WorkflowRunInput } from '@omium/schemas'
import { type AnyAgent, agent } from '@omium/sdk'
import { type TestRunOptions, testRun } from '@omium/sdk/testing'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { workflowAgent } from './agent.ts'

const echo = agent({
  id: 'echo',
  input: z.looseObject({ text: z.string() }),
  run: async ({ text }, ctx) => ctx.step('say', () => text.toUpperCase()),
})

type Nodes = Record<string, JsonValue>
const run = (
  nodes: Nodes,
  more: { parameters?: JsonValue; definition?: object; subworkflows?: object } & TestRunOptions = {},
) => {
  const { parameters = {}, definition = {}, subworkflows = {}, ...options } = more
  const bundle = { definition: { name: 'w', nodes, ...definition }, subworkflows }
  const input = { workflow: 'w', version: 1, bundle, parameters } as unknown as WorkflowRunInput
  return testRun(workflowAgent, input as never, { agents: [echo as AnyAgent, workflowAgent as AnyAgent], ...options })
}
const outputOf = async (...args: Parameters<typeof run>) => (await run(...args)).output
const errorOf = async (...args: Parameters<typeof run>) => {
  const { error } = await run(...args)
  return `${error?.code}: ${error?.message}`
}

describe('a workflow', () => {
  it('runs nodes as their inputs come, and gives what the last one gave', async () => {
    const result = await run(
      {
        shout: { type: 'agent', agent: 'echo', input: { text: '${parameters.text}' } },
        both: { type: 'set', value: '${nodes.shout.output}!${nodes.count.output}' },
        count: { type: 'set', value: '${size(parameters.text)}' },
      },
      { parameters: { text: 'hello' } },
    )
    expect(result.output).toBe('HELLO!5')
    expect(result.journal.map(({ path }) => path).sort()).toEqual(['both#1', 'count#1', 'shout#1'])
  })

  it('fills in the defaults of its parameters, and refuses those that do not fit', async () => {
    const definition = {
      parameters: { type: 'object', properties: { n: { type: 'integer', default: 2 } }, additionalProperties: false },
    }
    const nodes: Nodes = { a: { type: 'set', value: '${parameters.n + 1}' } }
    expect(await outputOf(nodes, { definition })).toBe(3)
    expect(await errorOf(nodes, { definition, parameters: { n: 'x', m: 1 } })).toBe(
      'input_invalid: the parameters do not fit the workflow: /: must NOT have additional properties (m); /n: must be integer',
    )
  })

  it('skips what `when` excludes, and what only waits for skipped nodes', async () => {
    const nodes: Nodes = {
      urgent: { type: 'set', value: 'call', when: 'parameters.urgent' },
      calm: { type: 'set', value: 'mail', when: '!parameters.urgent' },
      after: { type: 'set', value: 'x', needs: ['urgent'] },
      merged: { type: 'set', value: '${default(nodes.urgent.output, nodes.calm.output)}, ${nodes.after.status}' },
    }
    expect(await outputOf(nodes, { parameters: { urgent: true } })).toBe('call, completed')
    expect(await outputOf(nodes, { parameters: { urgent: false } })).toBe('mail, skipped')
  })

  it('chooses, maps with bounded concurrency, branches and loops; keys tell the rounds', async () => {
    const result = await run(
      {
        kind: {
          type: 'switch',
          cases: [{ when: 'size(parameters.list) > 2', do: { nodes: { many: { type: 'set', value: 'many' } } } }],
          otherwise: { nodes: { few: { type: 'set', value: 'few' } } },
        },
        each: {
          type: 'map',
          over: 'parameters.list',
          concurrency: 2,
          do: { nodes: { said: { type: 'agent', agent: 'echo', input: { text: '${item}${index}' } } } },
        },
        both: {
          type: 'parallel',
          branches: {
            left: { nodes: { n: { type: 'set', value: '${size(nodes.each.output)}' } } },
            right: { nodes: { n: { type: 'set', value: 2 } }, output: { r: '${nodes.n.output}' } },
          },
        },
        double: {
          type: 'loop',
          initial: 1,
          until: 'last > 10',
          maxIterations: 10,
          do: { nodes: { twice: { type: 'set', value: '${last * 2}' } } },
        },
      },
      { parameters: { list: ['a', 'b', 'c'] } },
    )
    expect(result.output).toEqual({ kind: 'many', both: { left: 3, right: { r: 2 } }, double: 16 })
    expect(result.journal.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['many#1', 'said:2#1', 'each#1', 'n:left#1', 'n:right#1', 'twice:3#1', 'double#1']),
    )
  })

  it('asks models: text, JSON that fits a schema, repaired when it does not, agents as tools', async () => {
    const asked: unknown[] = []
    const answers = ['plain', 'not json', '{"n": "x"}', '{"n": 1}']
    const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }
    const result = await run(
      {
        text: { type: 'model', model: '${parameters.model}', system: 'You are brief', prompt: 'Hi' },
        data: { type: 'model', model: 'm', prompt: '${nodes.text.output}', schema, repairs: 2 },
        tooled: { type: 'model', model: 'm', prompt: 'use tools', tools: [{ agent: 'echo' }], needs: ['data'] },
      },
      {
        parameters: { model: 'gpt-x' },
        llm: (request) => {
          asked.push(request)
          const { tools, messages } = request
          if (!tools) return answers.shift() ?? 'none left'
          const last = messages.at(-1)
          if (last?.role === 'tool') return `the tool said ${last.content}`
          const call = { id: 'c1', type: 'function' as const, function: { name: 'echo', arguments: '{"text":"hey"}' } }
          return { message: { role: 'assistant', content: null, tool_calls: [call] } }
        },
        definition: { output: { data: '${nodes.data.output}', tooled: '${nodes.tooled.output}' } },
      },
    )
    expect(result.output).toEqual({ data: { n: 1 }, tooled: 'the tool said HEY' })
    expect(asked).toHaveLength(6)
    expect(asked[0]).toMatchObject({ model: 'gpt-x' })
    expect(JSON.stringify(asked[3])).toContain('/n: must be integer')
  })

  it('tells a model whose arguments do not fit a tool, and calls the tool with those that do', async () => {
    const calls = ['{"text":1}', '{"txt":"a"}', 'no', '{"text":"hey"}']
    const said: unknown[] = []
    const parameters = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] }
    const { output, journal } = await run(
      { ask: { type: 'model', model: 'm', prompt: 'x', tools: [{ agent: 'echo', name: 'say', parameters }] } },
      {
        llm: ({ messages, tools }) => {
          expect(tools).toMatchObject([{ function: { name: 'say', parameters } }])
          const last = messages.at(-1)
          if (last?.role === 'tool') said.push(last.content)
          const next = calls.shift()
          if (next === undefined) return 'done'
          const call = { id: 'c', type: 'function' as const, function: { name: 'say', arguments: next } }
          return { message: { role: 'assistant', content: null, tool_calls: [call] } }
        },
      },
    )
    expect(output).toBe('done')
    expect(said).toEqual([
      'error: the arguments do not fit: /text: must be string',
      "error: the arguments do not fit: /: must have required property 'text'",
      'error: the arguments are not valid JSON',
      'HEY',
    ])
    expect(journal.filter(({ path }) => path.startsWith('ask.say'))).toHaveLength(1)
  })

  it('waits for people, signals and time', async () => {
    const nodes: Nodes = {
      ask: { type: 'approval', ask: 'Send to ${parameters.to}?', details: { to: '${parameters.to}' } },
      reply: { type: 'wait', signal: 'reply', schema: { type: 'object', required: ['ok'] } },
      rest: { type: 'sleep', durationMs: '${parameters.ms}' },
    }
    const parameters = { to: 'Ada', ms: 86_400_000 }
    const result = await run(nodes, { parameters, approvals: { 'Send to Ada?': true }, signals: { reply: { ok: 1 } } })
    expect(result.output).toEqual({ ask: { approved: true, by: 'test' }, reply: { ok: 1 }, rest: null })
    expect(result.elapsedMs).toBeGreaterThanOrEqual(86_400_000)
    expect(await errorOf(nodes, { parameters, approvals: false, signals: { reply: { ok: 1 } } })).toBe(
      'approval_rejected: node "ask": refused by test',
    )
    const lenient = { ...nodes, ask: { type: 'approval', ask: 'x', onRefusal: 'continue' } }
    expect(await outputOf(lenient, { parameters, approvals: false, signals: { reply: { ok: 1 } } })).toMatchObject({
      ask: { approved: false },
    })
  })

  it('calls other workflows in the version that it contains', async () => {
    const subworkflows = {
      'child@3': { name: 'c', nodes: { up: { type: 'agent', agent: 'echo', input: { text: '${parameters.t}' } } } },
    }
    const nodes: Nodes = { c: { type: 'workflow', workflow: 'child', version: 3, parameters: { t: 'x' } } }
    expect(await outputOf(nodes, { subworkflows })).toBe('X')
    expect(await errorOf(nodes)).toMatch(/^workflow_unknown: node "c": the version does not contain workflow child@3/)
  })

  it('names the node that failed; `retry` tries again, `onError` stands in', async () => {
    let calls = 0
    const mocks = {
      echo: () => {
        calls++
        if (calls < 3) throw new Error('down')
        return 'up'
      },
    }
    const node = { type: 'agent', agent: 'echo', input: { text: 'x' } }
    expect(await errorOf({ a: node }, { mocks })).toMatch(/^child_failed: node "a": .*down/)
    calls = 0
    const retry = { maxAttempts: 3, delayMs: 1000, backoff: 2 }
    const retried = await run({ a: { ...node, retry } }, { mocks })
    expect(retried.output).toBe('up')
    expect(retried.elapsedMs).toBe(3000)
    calls = 0
    const onError = { output: { failed: '${error.code}' } }
    expect(await outputOf({ a: { ...node, onError } }, { mocks })).toEqual({ failed: 'child_failed' })
    expect(await errorOf({ f: { type: 'fail', message: 'no ${1 + 1}' } })).toBe('workflow_failed: node "f": no 2')
    const loop = { type: 'loop', until: 'false', maxIterations: 2, do: { nodes: { n: { type: 'set', value: 1 } } } }
    expect(await errorOf({ l: loop })).toBe('workflow_failed: node "l": `false` is still false after 2 rounds')
  })
})

describe('a workflow that is killed', () => {
  const nodes: Nodes = {
    plan: { type: 'model', model: 'm', prompt: 'plan ${parameters.topic}' },
    ask: { type: 'approval', ask: 'go on?' },
    each: {
      type: 'map',
      over: 'parameters.list',
      concurrency: 2,
      needs: ['ask'],
      do: { nodes: { said: { type: 'agent', agent: 'echo', input: { text: '${item}' } } } },
    },
    rest: { type: 'sleep', durationMs: 60_000, needs: ['plan'] },
    rounds: {
      type: 'loop',
      maxIterations: 3,
      initial: '${nodes.plan.output}',
      do: { nodes: { more: { type: 'model', model: 'm', prompt: 'improve ${last}' } } },
    },
    child: { type: 'workflow', workflow: 'child', version: 1, parameters: { t: '${nodes.rounds.output}' } },
  }
  const options = {
    parameters: { topic: 'logs', list: ['a', 'b', 'c', 'd'] },
    approvals: true,
    subworkflows: { 'child@1': { name: 'c', nodes: { s: { type: 'set', value: 'child of ${parameters.t}' } } } },
    llm: (request: { messages: readonly { content?: unknown }[] }) => `<${String(request.messages.at(-1)?.content)}>`,
    definition: { output: { each: '${nodes.each.output}', child: '${nodes.child.output}' } },
  }

  it('after any recorded step, and after every one in turn, ends the same and repeats nothing', async () => {
    const undisturbed = await run(nodes, options)
    expect(undisturbed.status).toBe('completed')
    const recorded = undisturbed.journal.length
    expect(recorded).toBeGreaterThan(8)
    for (let n = 1; n <= recorded; n++) {
      const result = await run(nodes, { ...options, crashAfter: n })
      expect(result.output, `killed after ${n}`).toEqual(undisturbed.output)
      for (const [path, times] of Object.entries(result.executions)) expect(times, `${path} after ${n}`).toBe(1)
    }
    const all = await run(nodes, { ...options, crashAfter: Array.from({ length: recorded }, (_, i) => i + 1) })
    expect(all.output).toEqual(undisturbed.output)
    expect(Object.values(all.executions).every((times) => times === 1)).toBe(true)
    expect(all.attempts.length).toBeGreaterThan(5)
  })

  it.each([
    ['node', { a: { type: 'tournament' } }, {}, /nodes\.a\.type/],
    ['member of a node', { a: { type: 'set', value: 1, tier: 2 } }, {}, /"tier"[\s\S]*nodes\.a/],
    ['member', { a: { type: 'set', value: 1 } }, { shards: 4 }, /"shards"/],
  ])('is refused by a worker that is older than its definition: an unknown %s', async (_, nodes, definition, place) => {
    const { error, journal } = await run(nodes, { definition })
    expect(error).toMatchObject({ code: 'workflow_invalid', retryable: false })
    expect(error?.message).toContain(
      'this worker cannot read version 1 of workflow w; if it is older than the platform',
    )
    expect(error?.message).toMatch(place)
    expect(journal).toEqual([])
  })
})
