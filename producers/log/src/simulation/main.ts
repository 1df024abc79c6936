import { parseArgs } from 'node:util'
import { simulate } from './scenario.ts'

/** `npm run simulate -w producers/log -- --seeds 2000 --from 1`: runs seeds, prints those that fail and what failed. */
const { values } = parseArgs({ options: { seeds: { type: 'string' }, from: { type: 'string' } } })
const from = Number(values.from ?? 1)
const count = Number(values.seeds ?? 2000)
const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const started = performance.now()
const totals: Record<string, number> = {}
let failed = 0
for (let seed = from; seed < from + count; seed++) {
  const result = await simulate(seed)
  for (const [name, value] of Object.entries(result.counters)) totals[name] = (totals[name] ?? 0) + value
  if (result.problems.length === 0) continue
  failed++
  print(`seed ${seed} failed:`)
  for (const problem of result.problems) print(`  ${problem}`)
}
print(`${count} seeds from ${from}: ${failed} failed, ${((performance.now() - started) / 1000).toFixed(1)} s`)
print(JSON.stringify(totals))
process.exitCode = failed === 0 ? 0 : 1
