import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { main } from '../index.ts'
import { type Shell, shells } from './scripts.ts'

const scriptOf = async (shell: Shell): Promise<string> => {
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
  expect(await main(['completion', shell], io)).toBe(0)
  return lines.join('\n')
}

/** What each shell is asked after having read the script: what may follow these words. */
const questions: Readonly<Record<Shell, (words: readonly string[]) => string>> = {
  bash: (words) =>
    `COMP_WORDS=(omium ${words.join(' ')} ''); COMP_CWORD=${words.length + 1}; _omium; echo "\${COMPREPLY[@]}"`,
  zsh: (words) => `_omium_words ${words.join(' ')}`,
  fish: (words) => `complete -C 'omium ${[...words, ''].join(' ')}' | cut -f1`,
}

const installed = shells.filter((shell) => spawnSync(shell, ['-c', 'true']).status === 0)

it('is there for bash at least', () => expect(installed).toContain('bash'))

it.each(installed)('completes in %s what the commands are', async (shell) => {
  const script = await scriptOf(shell)
  const after = (...words: string[]): string[] => {
    const run = spawnSync(shell, ['-c', `${script}\n${questions[shell](words)}`], { encoding: 'utf8' })
    expect(run.stderr).toBe('')
    return run.stdout.split(/\s+/).filter(Boolean)
  }
  expect(after()).toEqual(expect.arrayContaining(['login', 'keys', 'executions', 'x', '--context']))
  expect(after('keys')).toEqual(expect.arrayContaining(['ls', 'create', 'rotate', 'revoke', 'verify']))
  expect(after('x', 'ls')).toEqual(expect.arrayContaining(['--status', '--agent', '-n']))
  expect(after('executions', 'ls', '--status')).toEqual(expect.arrayContaining(['running', 'completed']))
  expect(after('members', 'role', 'usr_1')).toEqual(expect.arrayContaining(['owner', 'viewer']))
  expect(after('completion')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']))
})

it('has nothing in any script that a shell would take for something else', async () => {
  for (const shell of shells) expect(await scriptOf(shell)).not.toMatch(/`|\$\(.*rm /)
})
