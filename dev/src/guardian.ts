/**
 * The guardian outlives its parent by a moment and ends whatever the parent had started.
 *
 * 1. It learns of the parent's death, even by SIGKILL, because the pipe on its standard input closes.
 * 2. It signals only processes whose start time is the one it was told: a reused pid is never touched.
 * 3. A child that the parent had no time to report is found by the mark that every child carries in its environment.
 * 4. It depends on nothing but Node, so that it starts in milliseconds and cannot fail on a missing package.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { identify, isRunning, type ProcessIdentity, signalGroup } from './process-identity.ts'

interface Watched extends ProcessIdentity {
  stopSignal: NodeJS.Signals
  graceMs: number
}

/** One line of JSON on the guardian's standard input. */
export type GuardianMessage = { watch: Watched } | { release: number } | { remove: string } | { keep: string }

/** The name of the variable that marks every process of a stack. */
export const markVariable = 'OMIUM_STACK_ID'

const pollMs = 25

/** Processes whose environment carries the mark (Linux only: elsewhere the environment of others can't be read). */
const marked = (mark: string): ProcessIdentity[] => {
  if (process.platform !== 'linux') return []
  const found: ProcessIdentity[] = []
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${markVariable}=${mark}`)) continue
    } catch {
      continue
    }
    const identity = identify(pid)
    if (identity) found.push(identity)
  }
  return found
}

const endAll = async (mark: string, watched: Watched[]): Promise<void> => {
  const known = new Set(watched.map(({ pid }) => pid))
  const strays = marked(mark).filter(({ pid }) => !known.has(pid))
  const all: Watched[] = [
    ...watched,
    ...strays.map((identity) => ({ ...identity, stopSignal: 'SIGTERM' as const, graceMs: 1000 })),
  ]
  const start = performance.now()
  for (const one of all) {
    // a stopped process can't handle its signal before it continues
    signalGroup(one, one.stopSignal)
    signalGroup(one, 'SIGCONT')
  }
  let alive = all.filter(isRunning)
  while (alive.length > 0) {
    await delay(pollMs)
    for (const one of alive) if (performance.now() - start > one.graceMs) signalGroup(one, 'SIGKILL')
    alive = alive.filter(isRunning)
  }
  for (const one of marked(mark)) signalGroup(one, 'SIGKILL')
}

const main = async (mark: string): Promise<void> => {
  const watched = new Map<number, Watched>()
  const folders = new Set<string>()
  for await (const line of createInterface({ input: process.stdin })) {
    const message = JSON.parse(line) as GuardianMessage
    if ('watch' in message) watched.set(message.watch.pid, message.watch)
    else if ('release' in message) watched.delete(message.release)
    else if ('remove' in message) folders.add(message.remove)
    else folders.delete(message.keep)
  }
  await endAll(mark, [...watched.values()])
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}

if (import.meta.main) {
  // it must outlast whatever ends its parent
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE'] as const) process.on(signal, () => {})
  await main(process.argv[2] ?? '')
}
