import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { OmiumError } from '@omium/schemas'
import { markVariable } from '../guardian.ts'
import { root } from '../layout.ts'
import { baseEnvironment, type Exit, type ManagedProcess, Supervisor } from '../supervisor.ts'

export interface SpawnOptions {
  /** what is run with `args` in place of a TypeScript entry, which then is only a name */
  command?: string
  args?: readonly string[]
  /** resolves once this has appeared in the output */
  readyLine?: RegExp
  /** or once this URL answers with a 2xx status */
  readyUrl?: string
  readyTimeoutMs?: number
}

/** A service in a process of its own, for specs that kill, stop and continue it. */
export interface ServiceHandle {
  pid: number
  /** standard output and standard error so far */
  output(): string
  exited: Promise<Exit>
  hasExited(): boolean
  /** sends a signal (default SIGKILL) and, if it ends the process, waits for that */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** SIGSTOP: it keeps its sockets and hears nothing */
  pause(): void
  /** SIGCONT */
  resume(): void
  /** asks it to end and waits */
  stop(): Promise<void>
  /** resolves with the match once the output fits */
  waitForLine(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
}

let supervisor: Supervisor | undefined
const outputLimit = 4 * 1024 * 1024
const ending = new Set<NodeJS.Signals>(['SIGKILL', 'SIGTERM', 'SIGINT'])

/**
 * Runs a TypeScript entry as a child process with exactly the given environment (plus PATH and the like). It is ended with
 * the spec's process, however that ends.
 * @param entry path from the repository's root
 * @throws OmiumError `unavailable` with its output when it ends or stays silent before it is ready
 */
export const spawnService = async (
  entry: string,
  env: Record<string, string | undefined> = {},
  options: SpawnOptions = {},
): Promise<ServiceHandle> => {
  supervisor ??= new Supervisor()
  const given = Object.fromEntries(Object.entries(env).flatMap(([k, v]) => (v === undefined ? [] : [[k, v]])))
  const args = options.args ?? []
  const [command, commandLine] = options.command
    ? [options.command, [...args]]
    : [process.execPath, [resolve(root, entry), ...args]]
  const child = spawn(command, commandLine, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...baseEnvironment(), ...given, [markVariable]: supervisor.id },
  })
  let output = ''
  let watchers: (() => void)[] = []
  const changed = (): void => {
    for (const watcher of watchers) watcher()
  }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      output = (output + chunk).slice(-outputLimit)
      changed()
    })
  }
  const process_: ManagedProcess = supervisor.adopt(child, { name: entry, logFile: '', graceMs: 30_000 })
  void process_.exited.then(changed)

  const waitForLine = (pattern: RegExp, timeoutMs = 60_000): Promise<RegExpExecArray> =>
    new Promise((resolve_, reject) => {
      const finish = (act: () => void): void => {
        clearTimeout(timer)
        watchers = watchers.filter((watcher) => watcher !== look)
        act()
      }
      const fail = (what: string): void =>
        finish(() =>
          reject(new OmiumError('unavailable', `${entry} ${what}; its output ends:\n${output.slice(-4000)}`)),
        )
      const look = (): void => {
        const found = pattern.exec(output)
        if (found) finish(() => resolve_(found))
        else if (process_.hasExited()) fail(`ended before it said ${pattern}`)
      }
      const timer = setTimeout(() => fail(`did not say ${pattern} within ${timeoutMs} ms`), timeoutMs)
      watchers.push(look)
      look()
    })

  const handle: ServiceHandle = {
    pid: process_.pid,
    output: () => output,
    exited: process_.exited,
    hasExited: process_.hasExited,
    kill: async (signal = 'SIGKILL') => {
      process_.kill(signal)
      if (ending.has(signal)) await process_.exited
    },
    pause: () => process_.kill('SIGSTOP'),
    resume: () => process_.kill('SIGCONT'),
    stop: process_.stop,
    waitForLine,
  }
  try {
    const timeoutMs = options.readyTimeoutMs ?? 60_000
    if (options.readyLine) await waitForLine(options.readyLine, timeoutMs)
    if (options.readyUrl) await answers(options.readyUrl, handle, timeoutMs)
  } catch (error) {
    await handle.kill()
    throw error
  }
  return handle
}

const answers = async (url: string, handle: ServiceHandle, timeoutMs: number): Promise<void> => {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const ready = await fetch(url, { signal: AbortSignal.timeout(2000) })
      .then(async (response) => (await response.arrayBuffer()) && response.ok)
      .catch(() => false)
    if (ready) return
    if (handle.hasExited() || performance.now() > deadline) {
      const what = handle.hasExited() ? 'ended before it was ready' : `is not ready after ${timeoutMs} ms`
      throw new OmiumError(
        'unavailable',
        `the service at ${url} ${what}; its output ends:\n${handle.output().slice(-4000)}`,
      )
    }
    await new Promise((resolve_) => setTimeout(resolve_, 25))
  }
}
