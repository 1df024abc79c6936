import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { RunningStack } from '@omium/dev'
import type { Launch } from './workers.ts'

const root = resolve(import.meta.dirname, '../../..')
/** A Python worker imports its framework first. */
const patienceMs = 120_000

/** Starts processes that end with the stack, however that ends. */
export const launchOn =
  ({ supervisor, layout, environment }: RunningStack): Launch =>
  async ({ name, entry, command, args = [], env }) => {
    const logFile = join(layout.logs, `${name}.log`)
    const managed = supervisor.start({
      name,
      command: command ?? process.execPath,
      args: entry === undefined ? [...args] : [join(root, entry), ...args],
      env: { ...environment, ...env },
      cwd: root,
      logFile,
    })
    return {
      line: async (pattern) => {
        const deadline = performance.now() + patienceMs
        for (;;) {
          const output = readFileSync(logFile, 'utf8')
          const found = pattern.exec(output)
          if (found) return found
          if (managed.hasExited() || performance.now() > deadline)
            throw new Error(`${name} did not say ${pattern}; its output ends:\n${output.slice(-4000)}`)
          await delay(25)
        }
      },
      kill: async () => {
        managed.kill('SIGKILL')
        await managed.exited
      },
    }
  }
