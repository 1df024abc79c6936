import type { Command } from 'commander'
import { expect, it } from 'vitest'
import { programOf } from './index.ts'

const io = {
  out: () => undefined,
  err: () => undefined,
  draw: () => undefined,
  readStdin: async () => '',
  env: {},
  cwd: '/',
  interactive: false,
  interrupted: new AbortController().signal,
}
const all = (command: Command, path: string): (readonly [string, Command])[] => [
  [path, command],
  ...command.commands.flatMap((one) => all(one, `${path} ${one.name()}`)),
]

it.each(all(programOf(io), 'omium'))('%s says what it is for, in lines that fit', (_path, command) => {
  expect(command.description()).not.toBe('')
  const help = command.createHelp()
  help.helpWidth = 80
  for (const line of help.formatHelp(command, help).split('\n')) expect(line.length).toBeLessThanOrEqual(80)
})
