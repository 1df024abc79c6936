import type { Live, Reads } from '@omium/projection-kit'
import type { AgentDefinition, JsonValue } from '@omium/schemas'
import { describe, expect, it } from 'vitest'
import { createAgents } from './agents.ts'

type OnEvent = Parameters<Live['onType']>[1]

const definition = (inputSchema?: Record<string, JsonValue>): AgentDefinition => ({
  agentId: 'writer',
  ...(inputSchema && { inputSchema }),
})

const setUp = (rows: AgentDefinition[] = []) => {
  let queries = 0
  let registered: OnEvent = () => undefined
  const reads = {
    query: async () => {
      queries++
      return { rows: rows.map((row) => ({ agent: row.agentId, definition: row })) }
    },
  } as unknown as Reads
  const live = { onType: (_type: string, onEvent: OnEvent) => (registered = onEvent) } as unknown as Live
  const agents = createAgents(reads, live)
  const register = (tenant: string, data: AgentDefinition) =>
    registered({ envelope: { tenant }, data: { definition: data } } as Parameters<OnEvent>[0])
  return { agents, register, queries: () => queries }
}

describe('agents', () => {
  it('are read once and then known from the live tail', async () => {
    const { agents, register, queries } = setUp([definition()])
    await agents.get('ten_a', 'writer')
    await agents.get('ten_a', 'writer')
    expect(queries()).toBe(1)
    register('ten_a', { ...definition(), description: 'newer' })
    expect(await agents.get('ten_a', 'writer')).toMatchObject({ description: 'newer' })
    expect(queries()).toBe(1)
  })

  it('of one tenant are not known to another', async () => {
    const { agents, register } = setUp()
    register('ten_a', definition())
    await expect(agents.get('ten_b', 'writer')).rejects.toMatchObject({ code: 'agent_unknown' })
  })

  it('say where an input does not fit', () => {
    const { agents } = setUp()
    const schema = {
      type: 'object',
      properties: { n: { type: 'integer' }, at: { type: 'string', format: 'date-time' } },
    }
    agents.checkInput('ten_a', definition(schema), { n: 1, at: '2026-01-01T00:00:00Z' })
    expect(() => agents.checkInput('ten_a', definition(schema), { n: 'x', at: 'y' })).toThrow(
      /input\.n: must be integer; input\.at: must match format/,
    )
    agents.checkInput('ten_a', definition(), 'anything')
  })

  it('with a schema that cannot be used say so instead of failing', () => {
    const { agents } = setUp()
    const broken = definition({ type: 'nonsense' })
    expect(() => agents.checkInput('ten_a', broken, {})).toThrow(expect.objectContaining({ code: 'input_invalid' }))
  })

  it('may use the same $id for different schemas', () => {
    const { agents } = setUp()
    agents.checkInput('ten_a', definition({ $id: 'input', type: 'string' }), 'x')
    agents.checkInput('ten_b', definition({ $id: 'input', type: 'number' }), 1)
  })

  it('refuse values nested so deep that walking them would overflow the stack', () => {
    const { agents } = setUp()
    let deep: JsonValue = 1
    for (let i = 0; i < 100_000; i++) deep = [deep]
    expect(() => agents.checkInput('ten_a', definition(), deep)).toThrow(
      expect.objectContaining({ code: 'input_invalid' }),
    )
  })
})
