import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseEnv } from 'node:util'
import { OmiumError } from '@omium/schemas'
import { z } from 'zod'
import { type Layout, layout } from './layout.ts'
import { identify, isRunning, type ProcessIdentity, signalGroup } from './process-identity.ts'

const identity = z.object({ pid: z.number().int(), startedAt: z.string() })

/** What a running stack tells other processes, in `run/state.json`. It holds no secret: those are in `run/environment`. */
const stackState = z.object({
  version: z.literal(1),
  stackId: z.string(),
  home: z.string(),
  /** the process that started the stack and ends it */
  supervisor: identity,
  startedAt: z.iso.datetime(),
  ephemeral: z.boolean(),
  brokers: z.union([z.literal(1), z.literal(3)]),
  components: z.array(
    z.object({ name: z.string(), external: z.boolean(), processes: z.array(identity), readyAfterMs: z.number() }),
  ),
  services: z.array(z.object({ name: z.string(), process: identity, restarts: z.number().int() })),
  urls: z.record(z.string(), z.string()),
})
export type StackState = z.infer<typeof stackState>

const writeWhole = (file: string, text: string): void => {
  writeFileSync(`${file}.part`, text, { mode: 0o600 })
  renameSync(`${file}.part`, file)
}

export const writeState = (state: StackState): void =>
  writeWhole(layout(state.home).stateFile, `${JSON.stringify(state, null, 2)}\n`)

/** The last written state of a home, or undefined; says nothing about whether it still runs. */
export const readState = (home: string): StackState | undefined => {
  try {
    return stackState.parse(JSON.parse(readFileSync(layout(home).stateFile, 'utf8')))
  } catch {
    return undefined
  }
}

/** Writes the services' variables to a file that only the owner can read; a shell can source it. */
export const writeEnvironment = (home: string, environment: Record<string, string>): void =>
  writeWhole(
    layout(home).environmentFile,
    Object.entries(environment)
      .map(([key, value]) => `${key}='${value}'\n`)
      .join(''),
  )

/**
 * The OMIUM_* variables with which a process reaches the stack.
 * @throws OmiumError `unavailable` when no stack has left them
 */
export const stackEnvironment = (state: Pick<StackState, 'home'>): Record<string, string> => {
  const file = layout(state.home).environmentFile
  if (!existsSync(file)) throw new OmiumError('unavailable', `no stack runs in ${state.home}: start one`)
  return Object.fromEntries(Object.entries(parseEnv(readFileSync(file, 'utf8'))).map(([k, v]) => [k, v ?? '']))
}

/** Every process of a state. */
export const processesOf = (state: StackState): ProcessIdentity[] => [
  ...state.services.map(({ process }) => process),
  ...state.components.flatMap(({ processes }) => processes),
]

/** Ends what a stack has left behind (its guardian usually has already) and resolves when all is gone. */
export const endLeftovers = async (state: StackState): Promise<void> => {
  let alive = processesOf(state).filter(isRunning)
  const begin = performance.now()
  for (const one of alive) signalGroup(one, 'SIGTERM')
  while (alive.length > 0) {
    await delay(25)
    if (performance.now() - begin > 10_000) for (const one of alive) signalGroup(one, 'SIGKILL')
    alive = alive.filter(isRunning)
  }
}

/**
 * Takes the home for this process, so that no two stacks share its data.
 * @returns gives it back
 * @throws OmiumError `unavailable` when another stack runs there
 */
export const takeHome = (places: Layout): (() => void) => {
  const mine = JSON.stringify(identify(process.pid))
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(places.lockFile, mine, { flag: 'wx' })
      return () => rmSync(places.lockFile, { force: true })
    } catch {
      const holder = identity.safeParse(readHolder(places.lockFile)).data
      if (holder && isRunning(holder)) {
        throw new OmiumError(
          'unavailable',
          `a stack already runs in ${places.home} (process ${holder.pid}); stop it with: npm run omium stop`,
        )
      }
      rmSync(places.lockFile, { force: true })
    }
  }
  throw new OmiumError('unavailable', `${places.lockFile} can't be taken: another stack starts in ${places.home}`)
}

const readHolder = (file: string): unknown => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}
