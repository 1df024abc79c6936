import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { AnyAgent, agent } from './index.ts'
import { testRun } from './testing.ts'

it("the README's sample has at most 15 lines of agent and does what it says", async () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const body = code.slice(code.indexOf('export const'))
  expect(body.trim().split('\n').length).toBeLessThanOrEqual(15)
  const folder = mkdtempSync(join(import.meta.dirname, 'readme-sample-'))
  try {
    // inside the package, so that its imports resolve as a user's would
    writeFileSync(join(folder, 'sample.ts'), code)
    const { researcher } = (await import(join(folder, 'sample.ts'))) as { researcher: AnyAgent }
    const run = await testRun(
      researcher as ReturnType<typeof agent>,
      { topics: ['logs', 'clocks'] },
      {
        llm: ({ messages }) => `Draft of: ${String(messages[0]?.content)}`,
        approvals: true,
        crashAfter: 'search:logs#1',
      },
    )
    expect(run.output).toEqual({ text: 'Draft of: notes on logs\nnotes on clocks', approved: true })
    expect(run.executions).toEqual({ 'search:logs#1': 1, 'search:clocks#1': 1, 'chat#1': 1 })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
