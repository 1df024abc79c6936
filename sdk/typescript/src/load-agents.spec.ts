import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAgents } from './load-agents.ts'

let folder: string
const module = (name: string, code: string): string => {
  writeFileSync(join(folder, name), code)
  return name
}
const agentCode = (id: string): string =>
  `{ id: '${id}', definition: { agentId: '${id}' }, budgetMicroCredits: undefined, execute: async () => 'done' }`

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'omium-modules-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('loading agent modules', () => {
  it('finds agents under any export, in arrays, each once, from paths and URLs', async () => {
    const first = module(
      'first.mjs',
      `export const a = ${agentCode('a')}; export default a; export const text = 'no agent'`,
    )
    const second = module('second.mjs', `export const all = [${agentCode('b')}, ${agentCode('c')}]`)
    const loaded = await loadAgents([first, pathToFileURL(join(folder, second)).href], folder)
    expect(loaded.problems).toEqual([])
    expect(loaded.agents.map((agent) => agent.id)).toEqual(['a', 'b', 'c'])
  })

  it('reports each bad module with its code and keeps the others', async () => {
    const modules = [
      'missing.mjs',
      module('throws.mjs', `throw new Error('no database')`),
      module('syntax.mjs', 'export const = 1'),
      module('empty.mjs', 'export const value = 1'),
      module('good.mjs', `export const good = ${agentCode('good')}`),
      module('again.mjs', `export const good = ${agentCode('good')}`),
    ]
    const loaded = await loadAgents(modules, folder)
    expect(loaded.agents.map((agent) => agent.id)).toEqual(['good'])
    expect(loaded.problems.map(({ module: name, error }) => [name, error.code])).toEqual([
      ['missing.mjs', 'not_found'],
      ['throws.mjs', 'agent_threw'],
      ['syntax.mjs', 'agent_threw'],
      ['empty.mjs', 'agent_unknown'],
      ['again.mjs', 'settings_invalid'],
    ])
    expect(loaded.problems[1]?.error.message).toContain('no database')
  })
})
