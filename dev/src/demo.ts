import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { markVariable } from './guardian.ts'
import { root } from './layout.ts'
import { baseEnvironment } from './supervisor.ts'
import type { RunningStack } from './up.ts'

const entry = 'examples/research-team/src/demo.ts'

/**
 * Runs the demo against the stack, on this terminal.
 * @returns its exit code, or undefined when this repository has none
 */
export const runDemo = (stack: RunningStack): Promise<number | undefined> => {
  const path = join(root, entry)
  if (!existsSync(path)) return Promise.resolve(undefined)
  // in this process group: it shares the terminal and its Ctrl-C
  const child = spawn(process.execPath, [path], {
    cwd: root,
    stdio: 'inherit',
    env: { ...baseEnvironment(), ...stack.environment, [markVariable]: stack.supervisor.id },
  })
  const managed = stack.supervisor.adopt(child, { name: 'demo', logFile: '' })
  return managed.exited.then(({ code }) => code ?? 1)
}
