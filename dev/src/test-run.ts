/**
 * Runs the specs and ends with the line `N passed, N failed`.
 *
 * 1. A spec that was skipped, marked as to do or never reached counts as failed: nothing is silently left out.
 * 2. A file that can't be loaded and an error outside of any spec count as one failure each.
 * 3. When nothing ran the exit code is not zero.
 * 4. The Python SDK's own tests belong to the unit tests: they run when no path or one in sdk/python is asked for.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { startVitest, type TestCase, type TestModule } from 'vitest/node'
import { root } from './layout.ts'
import { ensurePython, pythonProject } from './python.ts'

interface Tally {
  passed: number
  failed: number
}

const countModule = (module: TestModule, tally: Tally): void => {
  const cases: TestCase[] = [...module.children.allTests()]
  for (const one of cases) {
    if (one.result().state === 'passed') tally.passed++
    else tally.failed++
  }
  // an error of the file or of a suite (its beforeAll) that no case carries
  const errors =
    module.errors().length + [...module.children.allSuites()].reduce((sum, suite) => sum + suite.errors().length, 0)
  const carried = cases.some((one) => one.result().state !== 'passed')
  if (errors > 0 && !carried) tally.failed += errors
}

/** The counts of pytest's last line: `98 passed, 1 failed, 2 errors in 3.10s`. Only what passed counts as passed. */
const countPytest = (output: string): Tally => {
  const line = output.trimEnd().split('\n').at(-1) ?? ''
  const count = (what: string): number => Number(new RegExp(`(\\d+) ${what}`).exec(line)?.[1] ?? 0)
  const failed = ['failed', 'errors?', 'skipped', 'xfailed', 'xpassed', 'deselected'].map(count)
  return { passed: count('passed'), failed: failed.reduce((sum, one) => sum + one, 0) }
}

/** Runs beside the specs: it needs one core and none of their services. */
const runPytest = async (unitOnly: boolean): Promise<{ counted: Tally; report: string }> => {
  const { python } = await ensurePython({ progress: (line) => console.log(`  ${line}`) })
  // the agent frameworks take 20 s to import, tests of processes half a minute
  const slow = unitOnly ? ['--ignore=tests/frameworks', '--ignore=tests/processes'] : []
  const args = ['-m', 'pytest', '-p', 'no:cacheprovider', ...slow]
  const child = spawn(python, args, {
    cwd: pythonProject,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  const counted = countPytest(stdout)
  if (counted.failed === 0 && code !== 0) counted.failed = 1
  return { counted, report: `sdk/python (pytest)\n${stdout}${stderr}` }
}

const [first, ...others] = process.argv.slice(2)
const unitOnly = first === '--unit'
const filters = unitOnly ? others : process.argv.slice(2)

const tally: Tally = { passed: 0, failed: 0 }
const wantsPython = filters.length === 0 || filters.some((filter) => filter.startsWith('sdk/python'))
const pytest =
  wantsPython && existsSync(join(root, 'sdk/python'))
    ? runPytest(unitOnly).catch((error: unknown) => ({ counted: { passed: 0, failed: 1 }, report: String(error) }))
    : undefined
const vitest = await startVitest('test', filters, {
  watch: false,
  project: unitOnly ? ['unit'] : ['unit', 'int', 'e2e'],
  passWithNoTests: true,
  reporters: [process.env['CI'] ? 'dot' : 'default'],
}).catch((error: unknown) => {
  console.error(error)
  return undefined
})
if (vitest) {
  for (const module of vitest.state.getTestModules()) countModule(module, tally)
  tally.failed += vitest.state.getUnhandledErrors().length
  await vitest.close()
} else {
  tally.failed++
}
const python = await pytest
if (python) {
  console.log(python.report)
  tally.passed += python.counted.passed
  tally.failed += python.counted.failed
}
console.log(`${tally.passed} passed, ${tally.failed} failed`)
process.exit(tally.failed === 0 && tally.passed > 0 ? 0 : 1)
