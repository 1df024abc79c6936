import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { OmiumError } from '@omium/schemas'
import { root } from './layout.ts'
import type { PortName } from './ports.ts'
import { waitUntilReady } from './ready.ts'
import { logTail, type ManagedProcess, type Supervisor } from './supervisor.ts'

/** A process of the platform itself. */
export interface ServiceSpec {
  name: string
  /** path of its main.ts from the repository's root */
  entry: string
  /** `once`: it must end with code 0 before any service starts. `service`: it stays up and is started again if it ends */
  kind: 'once' | 'service'
  /** the port on which GET /ready answers 2xx when it is ready; without one it counts as ready once it runs */
  readyPort?: PortName
  /** it runs only where this variable is set */
  onlyWith?: string
  /** variables of whoever starts the stack that this service gets and no other: providers' keys, above all */
  own?: RegExp
}

/** Where the models are, by their providers' own variables, and the keys to them. */
const modelProviders =
  /^(?!OMIUM_(LOCAL_)?API_KEY$)(OMIUM_MODELS_(FILE|LOG_PROMPTS)|(OPENAI|ANTHROPIC|GEMINI|AZURE_OPENAI)_\w+|OLLAMA_HOST|\w+_API_KEY)$/

/** Those of kind `once` run together first, then the services start together. */
const platform: readonly ServiceSpec[] = [
  { name: 'migrations', entry: 'migrations/src/main.ts', kind: 'once' },
  { name: 'log', entry: 'producers/log/src/main.ts', kind: 'once' },
  { name: 'execution-engine', entry: 'consumers/execution-engine/src/main.ts', kind: 'service', readyPort: 'engine' },
  { name: 'projections', entry: 'projections/service/src/main.ts', kind: 'service', readyPort: 'projections' },
  { name: 'identity', entry: 'consumers/identity/src/main.ts', kind: 'service', readyPort: 'identity' },
  {
    name: 'workflow-manager',
    entry: 'consumers/workflow-manager/src/main.ts',
    kind: 'service',
    readyPort: 'workflows',
  },
  { name: 'models', entry: 'gateway/models/src/main.ts', kind: 'service', readyPort: 'models', own: modelProviders },
  {
    name: 'recovery-orchestrator',
    entry: 'consumers/recovery-orchestrator/src/main.ts',
    kind: 'service',
    readyPort: 'recovery',
  },
  { name: 'webhooks', entry: 'consumers/webhooks/src/main.ts', kind: 'service', readyPort: 'webhooks' },
  {
    name: 'checkpoint-manager',
    entry: 'consumers/checkpoint-manager/src/main.ts',
    kind: 'service',
    readyPort: 'checkpoints',
  },
  {
    name: 'gateway',
    entry: 'gateway/src/main.ts',
    kind: 'service',
    readyPort: 'gateway',
    // of identity providers, where OMIUM_SIGN_IN_FILE refers to them
    own: /^\w+_CLIENT_SECRET$/,
  },
  { name: 'worker-pool', entry: 'consumers/worker-pool/src/main.ts', kind: 'service' },
  {
    name: 'python-pool',
    entry: 'consumers/python-pool/src/main.ts',
    kind: 'service',
    onlyWith: 'OMIUM_PYTHON_AGENTS',
    own: /^(OMIUM_PYTHON_\w+|PYTHONPATH)$/,
  },
]

export const services: readonly ServiceSpec[] = platform.filter(({ entry }) => existsSync(join(root, entry)))

export interface RunningService {
  name: string
  process: ManagedProcess
  restarts: number
}

export interface ServiceHost {
  supervisor: Supervisor
  logs: string
  environment: Record<string, string>
  /** the environment of whoever started the stack; a service gets of it what it names as its own */
  given: Record<string, string | undefined>
  ports: Record<PortName, number>
  onReady(service: RunningService): void
  /** it ended although nobody had asked; it starts again after the delay */
  onDeath(service: RunningService, how: string, againInMs: number): void
}

/** a first start on a busy machine takes its time; one that has failed ends, and is not waited for */
const readyTimeoutMs = 180_000
const firstBackoffMs = 200
const longestBackoffMs = 10_000
/** after so long without a death the next one counts as the first again */
const healthyMs = 30_000

const environmentOf = ({ own }: ServiceSpec, { environment, given }: ServiceHost): Record<string, string> => {
  if (!own) return environment
  const theirs = Object.entries(given).flatMap(([name, value]) => (value && own.test(name) ? [[name, value]] : []))
  const shared = Object.entries(environment).filter(([name]) => !own.test(name))
  return Object.fromEntries([...shared, ...theirs])
}

const launch = (spec: ServiceSpec, host: ServiceHost): ManagedProcess =>
  host.supervisor.start({
    name: spec.name,
    command: process.execPath,
    args: [join(root, spec.entry)],
    env: environmentOf(spec, host),
    cwd: root,
    logFile: join(host.logs, `${spec.name}.log`),
    graceMs: 10_000,
  })

const untilReady = async (
  spec: ServiceSpec,
  running: ManagedProcess,
  ports: Record<PortName, number>,
): Promise<void> => {
  if (spec.readyPort === undefined) return
  const url = `http://127.0.0.1:${ports[spec.readyPort]}/ready`
  await waitUntilReady(
    running,
    async () => {
      const response = await fetch(url, { signal: AbortSignal.timeout(2000) })
      await response.arrayBuffer()
      if (!response.ok) throw new Error(`${url} answers ${response.status}`)
    },
    { timeoutMs: readyTimeoutMs },
  )
}

const runOnce = async (spec: ServiceSpec, host: ServiceHost): Promise<void> => {
  const { exited, logFile } = launch(spec, host)
  const { code } = await exited
  if (code === 0) return
  throw new OmiumError(
    'unavailable',
    `${spec.name} failed with code ${code}; its log ${logFile} ends:\n${logTail(logFile)}`,
  )
}

/**
 * Runs the platform's processes on a stack that is up.
 * @returns ends them and stops starting them again
 * @throws OmiumError `unavailable` when one fails at its first start, with the end of its log
 */
export const startServices = async (specs: readonly ServiceSpec[], host: ServiceHost): Promise<() => Promise<void>> => {
  const ending = new AbortController()
  const current = new Set<RunningService>()

  const keep = async (spec: ServiceSpec, service: RunningService): Promise<void> => {
    let backoffMs = firstBackoffMs
    for (;;) {
      const begin = performance.now()
      const { code, signal } = await service.process.exited
      if (ending.signal.aborted) return
      if (performance.now() - begin > healthyMs) backoffMs = firstBackoffMs
      host.onDeath(service, signal ? `signal ${signal}` : `exit code ${code}`, backoffMs)
      await delay(backoffMs, undefined, { signal: ending.signal }).catch(() => {})
      if (ending.signal.aborted) return
      backoffMs = Math.min(backoffMs * 2, longestBackoffMs)
      service.process = launch(spec, host)
      service.restarts++
      void untilReady(spec, service.process, host.ports).then(
        () => host.onReady(service),
        () => {},
      )
    }
  }

  const stop = async (): Promise<void> => {
    ending.abort()
    await Promise.all([...current].map(({ process }) => process.stop()))
  }

  await Promise.all(specs.filter(({ kind }) => kind === 'once').map((spec) => runOnce(spec, host)))
  try {
    await Promise.all(
      specs
        .filter(({ kind }) => kind === 'service')
        .map(async (spec) => {
          const service: RunningService = { name: spec.name, process: launch(spec, host), restarts: 0 }
          current.add(service)
          await untilReady(spec, service.process, host.ports)
          host.onReady(service)
          void keep(spec, service)
        }),
    )
  } catch (error) {
    await stop()
    throw error
  }
  return stop
}
