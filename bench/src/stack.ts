import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { devUp, type RunningStack, type ServiceSpec } from '@omium/dev'
import { omium } from '@omium/sdk'

const root = resolve(import.meta.dirname, '../..')

const migrations: ServiceSpec = { name: 'migrations', entry: 'migrations/src/main.ts', kind: 'once' }
const log: ServiceSpec = { name: 'log', entry: 'producers/log/src/main.ts', kind: 'once' }
const engine: ServiceSpec = {
  name: 'execution-engine',
  entry: 'consumers/execution-engine/src/main.ts',
  kind: 'service',
  readyPort: 'engine',
}
const projections: ServiceSpec = {
  name: 'projections',
  entry: 'projections/executions/src/main.ts',
  kind: 'service',
  readyPort: 'projections',
}
const orchestrator: ServiceSpec = {
  name: 'recovery-orchestrator',
  entry: 'consumers/recovery-orchestrator/src/main.ts',
  kind: 'service',
  readyPort: 'recovery',
}
const recoveries: ServiceSpec = {
  name: 'projection-recoveries',
  entry: 'projections/recoveries/src/main.ts',
  kind: 'service',
  readyPort: 'recoveries',
}
const gateway: ServiceSpec = { name: 'gateway', entry: 'gateway/src/main.ts', kind: 'service', readyPort: 'gateway' }

/** The whole platform; or the read side alone, when the bench is the engine's place itself. */
const serviceSets = {
  platform: [migrations, log, engine, projections, gateway],
  'platform with recovery': [migrations, log, engine, projections, orchestrator, recoveries, gateway],
  'platform without engine': [migrations, log, projections, gateway],
  /** what the model gateway needs, which the bench starts itself */
  models: [migrations],
  none: [],
} as const

export interface BenchStackOptions {
  readonly fsync: boolean
  readonly services: keyof typeof serviceSets
  /** of the commands and the events topic; default 4, as the local stack has them */
  readonly partitions?: number
  readonly say: (line: string) => void
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
  /** Waits until a URL answers with 2xx. @throws Error after 30 s */
  answers(url: string): Promise<void>
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
}: BenchStackOptions): Promise<BenchStack> => {
  const home = mkdtempSync(join(tmpdir(), 'omium-bench-'))
  const { PATH, HOME, OMIUM_TOOLS_DIR, JAVA_HOME, OMIUM_JAVA_HOME } = process.env
  const running = await devUp({
    home,
    freePorts: true,
    services: serviceSets[services],
    env: {
      PATH,
      HOME,
      OMIUM_TOOLS_DIR,
      JAVA_HOME,
      OMIUM_JAVA_HOME,
      OMIUM_FSYNC: String(fsync),
      OMIUM_PARTITIONS: String(partitions),
      OMIUM_LOG_LEVEL: 'warn',
    },
    report: (event) => {
      if (event.type === 'progress') say(event.message)
      if (event.type === 'service-died') say(`${event.name} died: ${event.how}`)
    },
  }).catch((error: unknown) => {
    rmSync(home, { recursive: true, force: true })
    throw error
  })
  const { environment, supervisor, layout } = running
  const spawn = (name: string, entry: string, env: Record<string, string> = {}): BenchProcess => {
    const logFile = join(layout.logs, `${name}.log`)
    const managed = supervisor.start({
      name,
      command: process.execPath,
      args: [join(root, entry)],
      env: { ...environment, ...env },
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
    spawn,
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
