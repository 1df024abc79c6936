import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { exitCodeMeanings, exitCodes } from './exit-codes.ts'
import { main } from './index.ts'

const meant = Object.entries(exitCodes).map(([name, code]) => [
  String(code),
  exitCodeMeanings[name as keyof typeof exitCodes],
])

it('docs/cli.md lists every exit code with its meaning, and nothing else', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/cli.md'), 'utf8')
  const rows = [...page.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, code, meaning]) => [code, meaning])
  expect(rows).toEqual(meant)
})

it('so does omium help', async () => {
  const lines: string[] = []
  const io = {
    out: (line: string) => lines.push(line),
    err: (line: string) => lines.push(line),
    draw: (picture: string) => lines.push(picture),
    readStdin: async () => '',
    env: {},
    cwd: '/',
    interactive: false,
    interrupted: new AbortController().signal,
  }
  expect(await main(['help'], io)).toBe(0)
  for (const [code, meaning] of meant) expect(lines.join('\n')).toContain(`  ${code?.padEnd(5)}${meaning}`)
})
