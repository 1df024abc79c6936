import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

export interface WorkerProcess {
  /** as the demo calls it: A, B */
  readonly name: string
  readonly pid: number
  readonly workerId: string
  /** Ends it like a power cut; resolves with the time of the kill (ms since the epoch) once the process is gone. */
  kill(): Promise<number>
  stop(): Promise<void>
}

const hello = z.object({ workerId: z.string() })
const startTimeoutMs = 60_000

/**
 * Starts a worker in a process of its own, which ends when this one does.
 * @throws Error when it doesn't connect within a minute, naming its log file
 */
export const startWorker = async (
  name: string,
  logFile: string,
  env: Record<string, string | undefined>,
): Promise<WorkerProcess> => {
  const log = openSync(logFile, 'a', 0o600)
  const child = fork(fileURLToPath(new URL('../worker.ts', import.meta.url)), {
    env,
    stdio: ['ignore', log, log, 'ipc'],
  })
  closeSync(log)
  const workerId = await helloOf(child, name, logFile)
  const { pid } = child
  if (pid === undefined) throw new Error(`worker ${name} has no process id`)
  const gone = once(child, 'exit')
  const end = async (signal: NodeJS.Signals): Promise<number> => {
    const at = Date.now()
    if (child.exitCode !== null || child.signalCode !== null) return at
    child.kill(signal)
    await gone
    return at
  }
  return {
    name,
    pid,
    workerId,
    kill: () => end('SIGKILL'),
    stop: async () => {
      await end('SIGTERM')
    },
  }
}

const helloOf = async (child: ChildProcess, name: string, logFile: string): Promise<string> => {
  const said = once(child, 'message').then(([message]) => hello.parse(message).workerId)
  const died = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`worker ${name} ended (${signal ?? `code ${code}`}) before it was connected; see ${logFile}`)
  })
  const late = AbortSignal.timeout(startTimeoutMs)
  const timedOut = once(late, 'abort').then(() => {
    child.kill('SIGKILL')
    throw new Error(`worker ${name} has not connected within ${startTimeoutMs} ms; see ${logFile}`)
  })
  died.catch(() => {})
  timedOut.catch(() => {})
  return Promise.race([said, died, timedOut])
}
