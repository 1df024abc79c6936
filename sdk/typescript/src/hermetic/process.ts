import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Failure, OmiumError } from '@omium/schemas'
import type { RecordedRun, Verdict } from './replay.ts'

export type ToChild =
  | { type: 'load'; modules: readonly string[]; folder: string }
  | { type: 'replay'; run: RecordedRun }
export type FromChild =
  | { type: 'loaded' }
  | { type: 'unusable'; error: Failure }
  | { type: 'verdict'; verdict: Verdict }

const childModule = fileURLToPath(new URL('./child-process.ts', import.meta.url))

/**
 * Replays recorded runs, one after the other, in a process of their own that has no network.
 * @param modules exporting the agents: paths from `folder`
 * @throws OmiumError `not_found`, `agent_threw` or `agent_unknown` when the code cannot be loaded, `worker_lost` when it ends
 * its process
 */
export async function* replayRuns(
  code: { modules: readonly string[]; folder: string },
  runs: AsyncIterable<RecordedRun>,
): AsyncGenerator<Verdict> {
  const child = fork(childModule, {
    cwd: code.folder,
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = once(child, 'exit')
  const ask = (message: ToChild): Promise<FromChild> =>
    Promise.race([
      once(child, 'message').then(([answer]) => answer as FromChild),
      ended.then(([code, signal]) => {
        throw new OmiumError('worker_lost', `the process of the replay ended (${signal ?? `exit code ${code}`})`)
      }),
      new Promise<never>((_, reject) => {
        child.send(message, (error) => error && reject(error))
      }),
    ])
  try {
    const loaded = await ask({ type: 'load', ...code })
    if (loaded.type === 'unusable') throw OmiumError.fromFailure(loaded.error)
    for await (const run of runs) {
      const answer = await ask({ type: 'replay', run })
      if (answer.type === 'verdict') yield answer.verdict
    }
  } finally {
    // an exit that nobody waits for any more is no error
    ended.catch(() => {})
    if (child.connected) child.disconnect()
    if (child.exitCode === null && child.signalCode === null) await ended
  }
}
