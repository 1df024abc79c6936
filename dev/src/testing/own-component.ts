import { execFileSync } from 'node:child_process'
import type { Component, RunningComponent } from '../components/component.ts'
import { openOwnHome } from './own-home.ts'

/** A service of the spec's own, to be killed and started again at the same address. Stop it in `afterAll`. */
export interface OwnComponent {
  url: string
  kill(): Promise<void>
  restart(): Promise<void>
  /** stops answering, with its connections open; from now on, or no more */
  hang(hangs: boolean): void
  stop(): Promise<void>
}

/** A process and all that it began: not all of them stay in its group. */
const withChildren = (pid: number): number[] => {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const parents = lines.map((line) => line.trim().split(/\s+/).map(Number) as [number, number])
  const all = [pid]
  for (const one of all) all.push(...parents.flatMap(([child, parent]) => (parent === one ? [child] : [])))
  return all
}

export const startOwn = async <R extends RunningComponent & { url: string }>(
  component: Component<R>,
): Promise<OwnComponent> => {
  const { context, stop } = await openOwnHome(component.name)
  let running = await component.start(context)
  const signal = (name: NodeJS.Signals): void => {
    // the first of them makes no more while the others are signalled
    for (const { pid } of running.processes) for (const one of withChildren(pid)) process.kill(one, name)
  }
  return {
    url: running.url,
    kill: async () => {
      signal('SIGKILL')
      for (const { exited } of running.processes) await exited
    },
    hang: (hangs) => signal(hangs ? 'SIGSTOP' : 'SIGCONT'),
    restart: async () => {
      running = await component.start(context)
    },
    stop,
  }
}
