import { ensurePython, type RunningStack } from '@omium/dev'
import { testPlatform } from '@omium/dev/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Fault, type Framework, faults, frameworks } from '../src/matrix/expected.ts'
import { launchOn } from '../src/matrix/launch.ts'
import { runMatrix } from '../src/matrix/matrix.ts'

/** Each class of failure once, in each framework at least one: the cut of `npm run bench -- matrix` that runs in CI. */
const cut: Readonly<Record<Fault, Framework>> = {
  transient_provider: 'crewai',
  rate_limit: 'semantic_kernel',
  timeout: 'plain',
  tool_error: 'langgraph',
  bad_model_output: 'langgraph',
  context_length: 'autogen',
  loop: 'autogen',
  stall: 'semantic_kernel',
  budget: 'crewai',
  poison_input: 'langgraph',
  code_bug: 'autogen',
  worker_crash: 'typescript',
}

let stack: RunningStack

beforeAll(async () => {
  stack = await testPlatform({ OMIUM_LOG_LEVEL: 'warn' })
})
afterAll(() => stack?.stop())

it('recovers from each class of failure as its policy says, or asks a person', async () => {
  const { python } = await ensurePython({ progress: () => {} })
  const cells = await runMatrix({
    environment: stack.environment,
    launch: launchOn(stack),
    python,
    cells: faults.map((fault) => ({ fault, framework: cut[fault] })),
    runs: 1,
    atATime: frameworks.length,
    say: () => {},
  })
  expect(cells.flatMap(({ runId, deviations }) => deviations.map((one) => `${runId}: ${one}`))).toEqual([])
  expect(cells).toHaveLength(faults.length)
  expect(new Set(Object.values(cut)).size).toBe(frameworks.length)
})
