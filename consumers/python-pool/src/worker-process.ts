import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Logger } from '@omium/kit'

/** What became of one target. `refused`: it will not run as it is; the others are unaffected. */
export type WorkerStatus =
  | { readonly status: 'starting' | 'ready' | 'ended' }
  | { readonly status: 'restarting'; readonly how: string }
  | { readonly status: 'refused'; readonly code: string }

export interface WorkerCommand {
  readonly python: string
  readonly target: string
  readonly options: readonly string[]
  readonly env: Record<string, string | undefined>
}

const firstBackoffMs = 500
const longestBackoffMs = 30_000
/** after so long without a death the next one counts as the first again */
const healthyMs = 60_000
/** longer than a worker drains (30 s) */
const killAfterMs = 35_000

/** Errors of a target that starting it again does not cure. */
const lasting =
  /^(not_found|agent_threw|agent_unknown|settings_invalid|unauthenticated|forbidden|protocol_unsupported): /

/**
 * A Python worker, kept running.
 *
 * 1. Its standard input is a pipe that closes with this process, however it ends; then the worker ends too.
 * 2. What it writes goes to the log, line by line.
 * 3. When it dies it is started again, later each time; when its target is bad it is not.
 */
export class WorkerProcess {
  #status: WorkerStatus = { status: 'starting' }
  #restarts = 0
  #backoffMs = firstBackoffMs
  #child: ChildProcessByStdio<Writable, null, Readable> | undefined
  #ending = false
  #again: NodeJS.Timeout | undefined
  #ended: (() => void) | undefined
  readonly #command: WorkerCommand
  readonly #logger: Logger

  constructor(command: WorkerCommand, logger: Logger) {
    this.#command = command
    this.#logger = logger.child({ target: command.target })
    this.#start()
  }

  get target(): string {
    return this.#command.target
  }

  get status(): WorkerStatus {
    return this.#status
  }

  get restarts(): number {
    return this.#restarts
  }

  /** Lets it drain, and waits for its end. */
  async stop(): Promise<void> {
    this.#ending = true
    clearTimeout(this.#again)
    const child = this.#child
    if (!child) return
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve
    })
    child.kill('SIGTERM')
    const kill = setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    await ended
    clearTimeout(kill)
  }

  #start(): void {
    const { python, target, options, env } = this.#command
    const begin = performance.now()
    const args = ['-m', 'omium', 'worker', target, '--attached', ...options]
    const child = spawn(python, args, { env: { ...env, PYTHONHASHSEED: '0' }, stdio: ['pipe', 'ignore', 'pipe'] })
    this.#child = child
    // a pipe to a process that has ended
    child.stdin.on('error', () => {})
    let refusal: string | undefined
    createInterface({ input: child.stderr }).on('line', (line) => {
      this.#logger.info(line)
      refusal ??= lasting.exec(line)?.[1]
      if (/ omium\.worker ready /.test(line)) this.#status = { status: 'ready' }
    })
    child.once('error', (error) => this.#over(begin, `it can't be started: ${error.message}`, refusal))
    child.once('close', (code, signal) => this.#over(begin, signal ? `signal ${signal}` : `exit code ${code}`, refusal))
  }

  #over(begin: number, how: string, code: string | undefined): void {
    if (!this.#child) return
    this.#child = undefined
    if (this.#ending) {
      this.#status = { status: 'ended' }
      this.#ended?.()
      return
    }
    if (code !== undefined) {
      this.#status = { status: 'refused', code }
      this.#logger.error({ code }, 'the target will not run as it is')
      return
    }
    if (performance.now() - begin > healthyMs) this.#backoffMs = firstBackoffMs
    this.#status = { status: 'restarting', how }
    this.#logger.warn({ how, againInMs: this.#backoffMs }, 'the worker ended')
    this.#again = setTimeout(() => {
      this.#restarts++
      this.#status = { status: 'starting' }
      this.#start()
    }, this.#backoffMs)
    this.#backoffMs = Math.min(this.#backoffMs * 2, longestBackoffMs)
  }
}
