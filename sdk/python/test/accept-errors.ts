import { readFileSync, writeFileSync } from 'node:fs'
import { errorCatalogue } from '@omium/schemas'

/** Writes the closed list of errors where the Python SDK and its tests keep it. */

const entries = Object.entries(errorCatalogue)
const rewrite = (path: string, change: (text: string) => string): void => {
  const file = new URL(path, import.meta.url)
  writeFileSync(file, change(readFileSync(file, 'utf8')))
}

rewrite('../tests/known_answers.json', (text) => {
  const errors = Object.fromEntries(entries.map(([code, { status, retryable }]) => [code, { status, retryable }]))
  return `${JSON.stringify({ ...JSON.parse(text), errors }, null, 2)}\n`
})
rewrite('../src/omium/errors.py', (text) => {
  const python = { true: 'True', false: 'False' } as const
  const lines = entries.map(
    ([code, { status, retryable }]) => `    "${code}": (${status}, ${python[`${retryable}`]}),\n`,
  )
  return text.replace(/(\n {4}# code: [^\n]*\n)[^}]*/, (_, comment: string) => comment + lines.join(''))
})
