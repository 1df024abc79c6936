import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type DevEvent, devUp, platformServices, type RunningStack } from '@omium/dev'
import { omium } from '@omium/sdk'

const root = resolve(import.meta.dirname, '../..')

/** an inspector that a bench opens must take a free port */
const inspectable = '--inspect-port=127.0.0.1:0'

/** The platform without what no bench of its core needs; or the read side alone, when the bench is the engine's place itself. */
const readSide = ['migrations', 'log', 'identity', 'projections', 'gateway'] as const
const serviceSets = {
  platform: [...readSide, 'execution-engine'],
  'platform with recovery': [...readSide, 'execution-engine', 'recovery-orchestrator'],
  'platform without engine': readSide,
  none: [],
} as const satisfies Record<string, readonly string[]>

export interface BenchStackOptions {
  readonly fsync: boolean
  readonly services: keyof typeof serviceSets
  /** of the commands and the events topic; default 4, as the local stack has them */
  readonly partitions?: number
  readonly say: (line: string) => void
  /** hears of every mail that the stack sends */
  readonly onMail?: (mail: Extract<DevEvent, { type: 'mail' }>) => void
}

export interface BenchProcess {
  readonly name: string
  readonly pid: number
  kill(): Promise<number>
  stop(): Promise<void>
  readonly exited: Promise<unknown>
  hasExited(): boolean
  /** Waits for a line of its output. @throws Error after 30 s, with the end of its output */
  line(pattern: RegExp): Promise<RegExpExecArray>
}

export interface BenchStack {
  readonly running: RunningStack
  readonly environment: Record<string, string>
  /** Starts a TypeScript entry (from the repository's root) as a process that ends with the stack. */
  spawn(name: string, entry: string, env?: Record<string, string>): BenchProcess
  /** Starts any program as a process that ends with the stack. */
  spawnCommand(name: string, command: string, args: readonly string[], env?: Record<string, string>): BenchProcess
  /** Waits until a URL answers with 2xx. @throws Error after 30 s */
  answers(url: string): Promise<void>
  /** where a process writes its output */
  logOf(name: string): string
  /** pids by name: the platform's services and the stack's components, without what the bench spawned */
  pids(): ReadonlyMap<string, number>
  stop(): Promise<void>
}

/**
 * A stack of the bench's own: free ports, a temporary home, PostgreSQL and Kafka as durable as `npm start` has them
 * (PostgreSQL with fsync and synchronous_commit on; Kafka with flush.messages=1 when `fsync`).
 */
export const startBenchStack = async ({
  fsync,
  services,
  partitions = 4,
  say,
  onMail,
}: BenchStackOptions): Promise<BenchStack> => {
  const home = mkdtempSync(join(tmpdir(), 'omium-bench-'))
  const { PATH, HOME, OMIUM_TOOLS_DIR, JAVA_HOME, OMIUM_JAVA_HOME } = process.env
  const running = await devUp({
    home,
    freePorts: true,
    services: platformServices.filter(({ name }) => (serviceSets[services] as readonly string[]).includes(name)),
    env: {
      PATH,
      HOME,
      OMIUM_TOOLS_DIR,
      JAVA_HOME,
      OMIUM_JAVA_HOME,
      OMIUM_FSYNC: String(fsync),
      OMIUM_PARTITIONS: String(partitions),
      OMIUM_LOG_LEVEL: 'warn',
      NODE_OPTIONS: inspectable,
    },
    report: (event) => {
      if (event.type === 'progress') say(event.message)
      if (event.type === 'mail') onMail?.(event)
      if (event.type === 'service-died') say(`${event.name} died: ${event.how}`)
    },
  }).catch((error: unknown) => {
    rmSync(home, { recursive: true, force: true })
    throw error
  })
  const { environment, supervisor, layout } = running
  const logOf = (name: string): string => join(layout.logs, `${name}.log`)
  const spawnCommand: BenchStack['spawnCommand'] = (name, command, args, env = {}) => {
    const logFile = logOf(name)
    const managed = supervisor.start({
      name,
      command,
      args: [...args],
      env: { ...environment, NODE_OPTIONS: inspectable, ...env },
      cwd: root,
      logFile,
    })
    return {
      name,
      pid: managed.pid,
      kill: async () => {
        const at = performance.now()
        managed.kill('SIGKILL')
        await managed.exited
        return at
      },
      stop: () => managed.stop(),
      exited: managed.exited,
      hasExited: () => managed.hasExited(),
      line: async (pattern) => {
        const deadline = performance.now() + 30_000
        for (;;) {
          const output = readFileSync(logFile, 'utf8')
          const found = pattern.exec(output)
          if (found) return found
          if (managed.hasExited() || performance.now() > deadline)
            throw new Error(`${name} did not say ${pattern}; its output ends:\n${output.slice(-2000)}`)
          await delay(10)
        }
      },
    }
  }
  return {
    running,
    environment,
    spawn: (name, entry, env) => spawnCommand(name, process.execPath, [join(root, entry)], env),
    spawnCommand,
    answers: async (url) => {
      const deadline = performance.now() + 30_000
      for (;;) {
        const response = await fetch(url).catch(() => undefined)
        await response?.arrayBuffer()
        if (response?.ok) return
        if (performance.now() > deadline) throw new Error(`${url} does not answer`)
        await delay(50)
      }
    },
    logOf,
    pids: () =>
      new Map([
        ...running.state.services.map(({ name, process: { pid } }) => [name, pid] as const),
        ...running.state.components.flatMap(({ name, processes }) => processes.map(({ pid }) => [name, pid] as const)),
      ]),
    stop: async () => {
      await running.stop()
      rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}

/** Starts a worker process and waits until its agents can be started. */
export const startBenchWorker = async (
  stack: BenchStack,
  name: string,
  env: Record<string, string> = {},
): Promise<BenchProcess & { readonly workerId: string }> => {
  const spawned = stack.spawn(name, 'bench/src/worker.ts', env)
  const [, workerId = ''] = await spawned.line(/^worker (\S+)$/m)
  const { OMIUM_URL: url, OMIUM_API_KEY: apiKey } = stack.environment
  const client = omium({ ...(url && { url }), ...(apiKey && { apiKey }) })
  const deadline = performance.now() + 30_000
  while (!(await client.agents()).some((one) => one.agent === 'bench-ten-steps')) {
    if (performance.now() > deadline) throw new Error('the bench agents did not become known within 30 s')
    await delay(50)
  }
  return { ...spawned, workerId }
}

export const measuredGateway = 'gateway-measured'

/** Starts one more gateway, without limits of requests, at a port of its own. */
export const startMeasuredGateway = async (
  stack: BenchStack,
  env: Record<string, string> = {},
): Promise<BenchProcess & { readonly url: string }> => {
  const spawned = stack.spawn(measuredGateway, 'gateway/src/main.ts', {
    OMIUM_GATEWAY_PORT: '0',
    OMIUM_LOG_LEVEL: 'info',
    OMIUM_RATE_PER_KEY: '0',
    OMIUM_RATE_PER_TENANT: '0',
    OMIUM_RATE_PER_ADDRESS: '0',
    ...env,
  })
  const [, url = ''] = await spawned.line(/"url":"(http:[^"]+)"/)
  return { ...spawned, url }
}
