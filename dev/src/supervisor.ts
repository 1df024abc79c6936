import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type GuardianMessage, markVariable } from './guardian.ts'
import { toolsDir } from './layout.ts'
import { identify, isRunning, type ProcessIdentity, signalGroup } from './process-identity.ts'

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface ProcessOptions {
  name: string
  command: string
  args: readonly string[]
  /** added to the few variables that every process gets; secrets belong here, never in args */
  env?: Record<string, string>
  cwd?: string
  /** both streams are appended here */
  logFile: string
  uid?: number
  gid?: number
  /** asks the process to end; default SIGTERM */
  stopSignal?: NodeJS.Signals
  /** after this long it is killed; default 5 s */
  graceMs?: number
}

export interface ManagedProcess extends ProcessIdentity {
  name: string
  logFile: string
  /** settles when the process has ended, however that came about */
  exited: Promise<Exit>
  hasExited(): boolean
  /** signals the process group */
  kill(signal: NodeJS.Signals): void
  /** asks, waits `graceMs`, then kills; resolves once the process is gone */
  stop(): Promise<void>
}

const inherited = [
  'PATH',
  'HOME',
  'USER',
  'LANG',
  'LC_ALL',
  'TMPDIR',
  'TZ',
  'JAVA_HOME',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
]

/**
 * What every child gets: the variables of this process that it may see, which are no credentials of the user's shell, and where
 * Node keeps the code that it has compiled. With it a service takes half the time to load.
 */
export const baseEnvironment = (): Record<string, string> => ({
  NODE_COMPILE_CACHE: join(toolsDir(), 'node-compile-cache'),
  ...Object.fromEntries(
    inherited.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name] ?? '']])),
  ),
})

/** The last lines of a log, for an error message. */
export const logTail = (file: string, lines = 12): string => {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  } catch {
    return ''
  }
}

/**
 * Starts child processes, each leading its own group, and sees to it that none outlives this process:
 * `stop` ends them; if this process dies first, the guardian does.
 */
export class Supervisor {
  readonly id: string
  readonly #processes: ManagedProcess[] = []
  #guardian: ChildProcess | undefined

  constructor(id: string = randomUUID()) {
    this.id = id
  }

  get processes(): readonly ManagedProcess[] {
    return this.#processes
  }

  start(options: ProcessOptions): ManagedProcess {
    this.#ensureGuardian()
    mkdirSync(dirname(options.logFile), { recursive: true })
    const log = openSync(options.logFile, 'a', 0o600)
    const child = spawn(options.command, options.args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...baseEnvironment(), ...options.env, [markVariable]: this.id },
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      ...(options.uid !== undefined && { uid: options.uid }),
      ...(options.gid !== undefined && { gid: options.gid }),
    })
    closeSync(log)
    return this.adopt(child, options)
  }

  /** Takes charge of a child that was spawned detached and with this supervisor's mark in its environment. */
  adopt(
    child: ChildProcess,
    options: Pick<ProcessOptions, 'name' | 'logFile' | 'stopSignal' | 'graceMs'>,
  ): ManagedProcess {
    this.#ensureGuardian()
    let ended = false
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (code, signal) => {
        ended = true
        this.#forget(managed)
        resolve({ code, signal })
      })
      child.once('error', () => {
        ended = true
        this.#forget(managed)
        resolve({ code: -1, signal: null })
      })
    })
    const identity = (child.pid === undefined ? undefined : identify(child.pid)) ?? {
      pid: child.pid ?? -1,
      startedAt: 'gone',
    }
    const stopSignal = options.stopSignal ?? 'SIGTERM'
    const graceMs = options.graceMs ?? 5000
    const managed: ManagedProcess = {
      ...identity,
      name: options.name,
      logFile: options.logFile,
      exited,
      hasExited: () => ended,
      kill: (signal) => void signalGroup(identity, signal),
      stop: async () => {
        if (ended) return
        signalGroup(identity, stopSignal)
        signalGroup(identity, 'SIGCONT')
        const timer = new AbortController()
        await Promise.race([exited, delay(graceMs, undefined, { signal: timer.signal }).catch(() => {})])
        timer.abort()
        if (!ended && isRunning(identity)) signalGroup(identity, 'SIGKILL')
        await exited
      },
    }
    if (!ended && identity.startedAt !== 'gone') {
      this.#processes.push(managed)
      this.#tell({ watch: { ...identity, stopSignal, graceMs } })
    }
    return managed
  }

  /** Asks the guardian to delete a folder when this process is gone. */
  removeAtEnd(folder: string): void {
    this.#ensureGuardian()
    this.#tell({ remove: folder })
  }

  /** Ends everything that is still running, all at once, then the guardian. */
  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.stop()))
    await this.close()
  }

  /** Kills everything at once, for state that nobody will read again, then ends the guardian. */
  async discard(): Promise<void> {
    const all = [...this.#processes]
    for (const one of all) one.kill('SIGKILL')
    await Promise.all(all.map((one) => one.exited))
    await this.close()
  }

  /** Lets the guardian go; it ends whatever still carries the mark. Resolves when it has done so. */
  async close(): Promise<void> {
    const guardian = this.#guardian
    this.#guardian = undefined
    if (!guardian || guardian.exitCode !== null) return
    const gone = new Promise((resolve) => guardian.once('exit', resolve))
    guardian.ref()
    guardian.stdin?.end()
    await gone
  }

  #forget(managed: ManagedProcess): void {
    const index = this.#processes.indexOf(managed)
    if (index >= 0) this.#processes.splice(index, 1)
    this.#tell({ release: managed.pid })
  }

  #tell(message: GuardianMessage): void {
    this.#guardian?.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  #ensureGuardian(): void {
    if (this.#guardian) return
    const guardian = spawn(process.execPath, [join(import.meta.dirname, 'guardian.ts'), this.id], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: baseEnvironment(),
    })
    guardian.stdin?.on('error', () => {})
    // neither the process nor its pipe may keep this process alive
    guardian.unref()
    ;(guardian.stdin as unknown as { unref?: () => void } | null)?.unref?.()
    this.#guardian = guardian
  }
}
