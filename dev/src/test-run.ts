/**
 * Runs the specs and ends with the line `N passed, N failed`.
 *
 * 1. A spec that was skipped, marked as to do or never reached counts as failed: nothing is silently left out.
 * 2. A file that can't be loaded and an error outside of any spec count as one failure each.
 * 3. When nothing ran the exit code is not zero.
 */
import { startVitest, type TestCase, type TestModule } from 'vitest/node'

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

const [first, ...others] = process.argv.slice(2)
const unitOnly = first === '--unit'
const filters = unitOnly ? others : process.argv.slice(2)

const tally: Tally = { passed: 0, failed: 0 }
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
console.log(`${tally.passed} passed, ${tally.failed} failed`)
process.exit(tally.failed === 0 && tally.passed > 0 ? 0 : 1)
