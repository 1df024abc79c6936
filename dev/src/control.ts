import { on } from 'node:events'
import { existsSync, readdirSync, rmSync, watch } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { OmiumError } from '@omium/schemas'
import { defaultHome, layout } from './layout.ts'
import { isRunning, signalGroup } from './process-identity.ts'
import { endLeftovers, processesOf, readState, type StackState } from './state.ts'

export interface DevStatus {
  running: boolean
  home: string
  state?: StackState
  parts: { name: string; kind: 'component' | 'service'; status: 'up' | 'down' | 'external'; pids: number[] }[]
}

/** What runs in a home, looked up by process id and start time. */
export const devStatus = (home: string = defaultHome()): DevStatus => {
  const state = readState(home)
  if (!state) return { running: false, home, parts: [] }
  const components = state.components.map(({ name, external, processes }) => ({
    name,
    kind: 'component' as const,
    status: external ? ('external' as const) : processes.every(isRunning) ? ('up' as const) : ('down' as const),
    pids: processes.map(({ pid }) => pid),
  }))
  const services = state.services.map(({ name, process }) => ({
    name,
    kind: 'service' as const,
    status: isRunning(process) ? ('up' as const) : ('down' as const),
    pids: [process.pid],
  }))
  return { running: isRunning(state.supervisor), home, state, parts: [...components, ...services] }
}

const stopTimeoutMs = 45_000

/**
 * Ends the stack of a home, whoever started it, and resolves when none of its processes is left.
 * @returns whether anything was running
 */
export const devStop = async (home: string = defaultHome()): Promise<boolean> => {
  const state = readState(home)
  if (!state) return false
  const wasRunning = [state.supervisor, ...processesOf(state)].some(isRunning)
  if (isRunning(state.supervisor)) {
    process.kill(state.supervisor.pid, 'SIGTERM')
    const deadline = performance.now() + stopTimeoutMs
    while (isRunning(state.supervisor) && performance.now() < deadline) await delay(25)
    // its guardian ends the rest
    signalGroup(state.supervisor, 'SIGKILL')
  }
  await endLeftovers(state)
  for (const file of [layout(home).stateFile, layout(home).environmentFile]) rmSync(file, { force: true })
  return wasRunning
}

/**
 * Ends the stack and deletes its data, logs and credentials; the tools stay.
 * @param confirm asked before anything is deleted; `devReset` does nothing and returns false when it says no
 */
export const devReset = async (home: string, confirm: (what: string) => Promise<boolean>): Promise<boolean> => {
  const places = layout(home)
  if (!(await confirm(`Delete all data, logs and credentials in ${home}?`))) return false
  await devStop(home)
  for (const path of [places.data, places.logs, places.run, places.credentialsFile])
    rmSync(path, { recursive: true, force: true })
  return true
}

/** The names for which `devLogs` has lines. */
export const logNames = (home: string = defaultHome()): string[] => {
  const folder = layout(home).logs
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .map((name) => name.slice(0, -'.log'.length))
    .sort()
}

/**
 * The lines of one component's or service's log; with `follow` it goes on until the signal ends it.
 * @throws OmiumError `not_found` when there is no such log
 */
export async function* devLogs(
  name: string,
  { home = defaultHome(), follow = false, signal }: { home?: string; follow?: boolean; signal?: AbortSignal } = {},
): AsyncGenerator<string> {
  const file = join(layout(home).logs, `${name}.log`)
  if (!logNames(home).includes(name)) {
    throw new OmiumError('not_found', `there is no log of ${name}; there are: ${logNames(home).join(', ') || 'none'}`)
  }
  const handle = await open(file)
  // not that of node:fs/promises, which begins when it is first asked: what is written during the first read would be missed
  const watcher = follow ? watch(file) : undefined
  try {
    const changes = watcher && on(watcher, 'change', signal ? { signal } : {})
    let rest = ''
    const chunk = Buffer.alloc(64 * 1024)
    const decoder = new TextDecoder()
    const read = async function* (): AsyncGenerator<string> {
      for (;;) {
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, null)
        if (bytesRead === 0) return
        const lines = (rest + decoder.decode(chunk.subarray(0, bytesRead), { stream: true })).split('\n')
        rest = lines.pop() ?? ''
        yield* lines
      }
    }
    yield* read()
    if (changes) for await (const _ of changes) yield* read()
    if (rest !== '') yield rest
  } catch (error) {
    if (!signal?.aborted) throw error
  } finally {
    watcher?.close()
    await handle.close()
  }
}
