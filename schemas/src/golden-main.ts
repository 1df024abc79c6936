import { relative } from 'node:path'
import { acceptSchemas, goldenProblems } from './golden.ts'

/** `npm run schemas:check` and `npm run schemas:accept`. */
const say = (line: string) => process.stdout.write(`${line}\n`)

if (process.argv.includes('--accept')) {
  const written = acceptSchemas()
  for (const file of written) say(`wrote ${relative(process.cwd(), file)}`)
  if (written.length === 0) say('nothing changed')
}
const problems = goldenProblems()
for (const problem of problems) say(problem)
if (problems.length > 0) process.exitCode = 1
else say('every event and command has its committed schema')
