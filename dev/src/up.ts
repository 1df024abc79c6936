import { existsSync, renameSync, rmSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Credentials, loadCredentials } from './credentials.ts'
import { externalServices } from './external.ts'
import { keepFailedLogs } from './failed-logs.ts'
import { gatewayDatabaseUrl } from './gateway-database.ts'
import { defaultHome, type Layout, makeLayout, toolsDir } from './layout.ts'
import { type CaughtMail, type MailCatcher, startMailCatcher } from './mail-catcher.ts'
import { type PortName, planPorts } from './ports.ts'
import { identify } from './process-identity.ts'
import { ensurePython } from './python.ts'
import { services as platformServices, type RunningService, type ServiceSpec, startServices } from './services.ts'
import { type Endpoints, prepareStack, startStack } from './stack.ts'
import { endLeftovers, readState, type StackState, takeHome, writeEnvironment, writeState } from './state.ts'
import { Supervisor } from './supervisor.ts'
import { temporaryHome } from './temporary-home.ts'

/** What happens while a stack starts and runs; `--json` prints each as one line. */
export type DevEvent =
  | { type: 'progress'; message: string }
  | { type: 'port-moved'; name: string; port: number }
  | { type: 'ready'; name: string; external: boolean; afterMs: number }
  | { type: 'service-ready'; name: string; pid: number; restarts: number }
  | { type: 'service-died'; name: string; how: string; againInMs: number }
  | { type: 'up'; afterMs: number; urls: Record<string, string>; apiKey: string; data: string; logs: string }
  | ({ type: 'mail' } & CaughtMail)
  | { type: 'stopping' }
  | { type: 'stopped'; afterMs: number }

export interface DevOptions {
  /** 3 replicates every topic three times and needs two in-sync replicas; default 1 */
  brokers?: 1 | 3
  /** everything in a temporary folder that goes at the end, on free ports */
  ephemeral?: boolean
  /** none of the usual ports: for a second stack beside the first; implied by `ephemeral` */
  freePorts?: boolean
  /** the state folder; default `OMIUM_HOME` or `.omium` */
  home?: string
  /** the platform's processes; default those of this repository */
  services?: readonly ServiceSpec[]
  env?: Record<string, string | undefined>
  report?: (event: DevEvent) => void
  /** ends the start, or the stack */
  signal?: AbortSignal
}

export interface RunningStack {
  state: StackState
  /** the OMIUM_* variables with which a process reaches the stack, secrets included */
  environment: Record<string, string>
  apiKey: string
  layout: Layout
  supervisor: Supervisor
  /** ends every process; the data stays unless the stack is ephemeral */
  stop(): Promise<void>
}

const logLimitBytes = 16 * 1024 * 1024

/** Logs are appended to across starts; a long one steps aside, one generation is kept. */
const rotateLogs = async (folder: string): Promise<void> => {
  for (const name of await readdir(folder)) {
    const file = join(folder, name)
    if (name.endsWith('.log') && statSync(file).size > logLimitBytes) renameSync(file, `${file}.1`)
  }
}

const passedOn = [
  'NODE_OPTIONS',
  'OMIUM_TOPIC_PREFIX',
  'OMIUM_SCHEMA_PREFIX',
  'OMIUM_PARTITIONS',
  'OMIUM_FSYNC',
  'OMIUM_LOG_LEVEL',
  'OMIUM_OWNER_SESSION_TIMEOUT_MS',
  'OMIUM_WORKER_LEASE_MS',
  'OPENAI_MODEL',
  'OMIUM_POOL_SLOTS',
  'OMIUM_PYTHON',
  'OMIUM_ENCRYPTION_KEYS',
  'OMIUM_SMTP_URL',
  'OMIUM_MAIL_FROM',
  'OMIUM_SIGN_IN_FILE',
  'OMIUM_POLICIES_FILE',
  'OMIUM_EGRESS_ALLOW',
  'OMIUM_EGRESS_PORTS',
  'OMIUM_EGRESS_HTTP',
  'OMIUM_WEBHOOK_RETRIES_MS',
  'OMIUM_KMS',
  'OMIUM_KMS_KEY_ID',
  'OMIUM_KMS_REGION',
  'OMIUM_KMS_ENDPOINT',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
]

/** The agents that the built-in pool runs: those that are named, and in any case the one that runs workflow definitions. */
const poolModules = (named: string | undefined): string =>
  [
    // something to start right away: `omium run greeter`
    named || 'examples/quickstart/src/agents.ts',
    'consumers/workflow-interpreter/src/index.ts',
  ].join(',')

/** By its name: browsers have passkeys for names, not for addresses. */
const gatewayUrl = (ports: Record<PortName, number>): string => `http://localhost:${ports.gateway}`

const serviceEnvironment = (
  endpoints: Endpoints,
  ports: Record<PortName, number>,
  credentials: Credentials,
  brokers: 1 | 3,
  env: Record<string, string | undefined>,
  servesModels: boolean,
): Record<string, string> => ({
  // two cores share one disk: every partition more is another file to flush for each group of appends
  OMIUM_PARTITIONS: '4',
  OMIUM_LOG_LEVEL: 'info',
  OMIUM_TOPIC_PREFIX: 'omium',
  // the local broker allows it, and a dead owner's partitions are taken over that much sooner
  OMIUM_OWNER_SESSION_TIMEOUT_MS: '3000',
  ...Object.fromEntries(passedOn.flatMap((name) => (env[name] ? [[name, env[name] ?? '']] : []))),
  OMIUM_POOL_MODULES: poolModules(env['OMIUM_POOL_MODULES']),
  OMIUM_KAFKA_BROKERS: endpoints.kafkaBrokers.join(','),
  OMIUM_SCHEMA_REGISTRY_URL: endpoints.registryUrl,
  OMIUM_DATABASE_URL: endpoints.databaseUrl,
  OMIUM_GATEWAY_DATABASE_URL: env['OMIUM_GATEWAY_DATABASE_URL'] || gatewayDatabaseUrl(endpoints.databaseUrl),
  OMIUM_REDIS_URL: endpoints.redisUrl,
  OMIUM_S3_ENDPOINT: endpoints.s3.endpoint,
  OMIUM_S3_REGION: endpoints.s3.region,
  OMIUM_S3_BUCKET: endpoints.s3.bucket,
  OMIUM_S3_ACCESS_KEY_ID: endpoints.s3.accessKeyId,
  OMIUM_S3_SECRET_ACCESS_KEY: endpoints.s3.secretAccessKey,
  OMIUM_REPLICATION: env['OMIUM_REPLICATION'] || String(brokers),
  OMIUM_TOKEN_SECRET: env['OMIUM_TOKEN_SECRET'] || credentials.tokenSecret,
  OMIUM_API_KEY: env['OMIUM_API_KEY'] || credentials.apiKey,
  OMIUM_LOCAL_API_KEY: env['OMIUM_API_KEY'] || credentials.apiKey,
  OMIUM_KEY_ENVIRONMENT: env['OMIUM_KEY_ENVIRONMENT'] || 'test',
  OMIUM_KEY_PEPPERS: env['OMIUM_KEY_PEPPERS'] || `1:${credentials.keyPepper}`,
  OMIUM_MASTER_KEYS: env['OMIUM_MASTER_KEYS'] || `local:${credentials.masterKey}`,
  OMIUM_DIGEST_KEY: env['OMIUM_DIGEST_KEY'] || credentials.digestKey,
  OMIUM_GATEWAY_PORT: String(ports.gateway),
  OMIUM_ENGINE_PORT: String(ports.engine),
  OMIUM_PROJECTIONS_PORT: String(ports.projections),
  OMIUM_WORKFLOW_MANAGER_PORT: String(ports.workflows),
  OMIUM_IDENTITY_PORT: String(ports.identity),
  OMIUM_RECOVERY_PORT: String(ports.recovery),
  OMIUM_WEBHOOKS_PORT: String(ports.webhooks),
  OMIUM_CHECKPOINTS_PORT: String(ports.checkpoints),
  OMIUM_GATEWAY_HOST: 'localhost',
  OMIUM_URL: gatewayUrl(ports),
  ...modelEnvironment(ports, env['OMIUM_API_KEY'] || credentials.apiKey, env, servesModels),
})

/** Model calls go through the stack's own service, with the stack's own key; providers' keys stay with that service. */
const modelEnvironment = (
  ports: Record<PortName, number>,
  apiKey: string,
  env: Record<string, string | undefined>,
  served: boolean,
): Record<string, string> => {
  const url = `http://127.0.0.1:${ports.models}`
  if (served)
    return {
      OMIUM_MODELS_PORT: String(ports.models),
      OMIUM_MODELS_URL: url,
      OMIUM_MODELS_LOCAL: 'true',
      OPENAI_BASE_URL: `${url}/v1`,
      OPENAI_API_KEY: apiKey,
    }
  const given = ['OPENAI_BASE_URL', 'OPENAI_API_KEY'].flatMap((name) => (env[name] ? [[name, env[name]] as const] : []))
  return Object.fromEntries(given)
}

const withoutPassword = (url: string): string => {
  const parsed = new URL(url)
  parsed.password = ''
  return parsed.href
}

/**
 * Brings the stack and the platform's services up.
 *
 * 1. Nothing listens on anything but loopback.
 * 2. Nothing that was started outlives this process, however it ends (see guardian.ts).
 * 3. A home belongs to one stack at a time; what an earlier one left behind is ended first.
 * 4. If anything fails to start, everything that had started is ended before the error is thrown.
 *
 * @throws OmiumError `settings_invalid` (all bad settings at once), `unavailable` (what failed, with the end of its log)
 */
export const devUp = async (options: DevOptions = {}): Promise<RunningStack> => {
  const { brokers = 1, ephemeral = false, env = process.env, report = () => {} } = options
  const specs = (options.services ?? platformServices).filter(({ onlyWith }) => !onlyWith || env[onlyWith])
  const progress = (message: string): void => report({ type: 'progress', message })
  const external = externalServices(env)
  const tools = toolsDir(env)
  await prepareStack({ tools, progress }, external)
  options.signal?.throwIfAborted()

  const begin = performance.now()
  const home = ephemeral ? temporaryHome('stack') : (options.home ?? defaultHome(env))
  const places = makeLayout(home)
  const giveBack = takeHome(places)
  const supervisor = new Supervisor()
  let stopServices: (() => Promise<void>) | undefined
  let mails: MailCatcher | undefined
  let stopped: Promise<void> | undefined

  const stop = (): Promise<void> => {
    stopped ??= (async () => {
      const stopBegin = performance.now()
      report({ type: 'stopping' })
      await stopServices?.()
      await mails?.close()
      await (ephemeral ? supervisor.discard() : supervisor.stop())
      for (const file of [places.stateFile, places.environmentFile]) rmSync(file, { force: true })
      giveBack()
      if (ephemeral) rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
      report({ type: 'stopped', afterMs: Math.round(performance.now() - stopBegin) })
    })()
    return stopped
  }
  const abort = (): void => void stop()

  try {
    if (ephemeral) supervisor.removeAtEnd(home)
    const left = readState(home)
    if (left) await endLeftovers(left)
    await rotateLogs(places.logs)
    options.signal?.addEventListener('abort', abort, { once: true })
    options.signal?.throwIfAborted()

    const credentials = loadCredentials(places.credentialsFile)
    const { ports, moved } = await planPorts(ephemeral || options.freePorts === true)
    const context = {
      layout: places,
      tools,
      ports,
      credentials,
      supervisor,
      profile: ephemeral ? 'test' : 'dev',
      progress,
    } as const
    const stack = await startStack(context, external, brokers, ({ name, external: isExternal, readyAfterMs }) =>
      report({ type: 'ready', name, external: isExternal, afterMs: readyAfterMs }),
    )
    options.signal?.throwIfAborted()
    const has = (name: string): boolean => specs.some((spec) => spec.name === name)
    const environment: Record<string, string> = {
      ...serviceEnvironment(stack.endpoints, ports, credentials, brokers, env, has('models')),
      OMIUM_HOME: home,
    }
    if (has('gateway') && !environment['OMIUM_SMTP_URL']) {
      mails = await startMailCatcher(ports.mail, join(home, 'mail'), (mail) => report({ type: 'mail', ...mail }))
      environment['OMIUM_SMTP_URL'] = mails.url
    }
    if (has('python-pool')) environment['OMIUM_PYTHON'] ??= (await ensurePython({ progress })).python
    const state: StackState = {
      version: 1,
      stackId: supervisor.id,
      home,
      supervisor: identify(process.pid) ?? { pid: process.pid, startedAt: '' },
      startedAt: new Date().toISOString(),
      ephemeral,
      brokers,
      components: stack.components,
      services: [],
      urls: {
        ...(has('gateway') && { gateway: gatewayUrl(ports) }),
        ...(has('models') && { models: `http://127.0.0.1:${ports.models}` }),
        ...(has('execution-engine') && { engine: `ws://127.0.0.1:${ports.engine}` }),
        kafka: stack.endpoints.kafkaBrokers.join(','),
        registry: stack.endpoints.registryUrl,
        postgres: withoutPassword(stack.endpoints.databaseUrl),
        redis: withoutPassword(stack.endpoints.redisUrl),
        s3: stack.endpoints.s3.endpoint,
      },
    }
    const used = new Set(moved.filter((name) => isUsed(name, brokers, specs)))
    for (const name of used) report({ type: 'port-moved', name, port: ports[name] })
    writeEnvironment(home, environment)
    writeState(state)

    const note = (service: RunningService): void => {
      const { name, restarts } = service
      const { pid, startedAt } = service.process
      state.services = [
        ...state.services.filter((other) => other.name !== name),
        { name, process: { pid, startedAt }, restarts },
      ]
      // a service that becomes ready while the stack ends must not bring the state back
      if (!stopped && existsSync(home)) writeState(state)
      report({ type: 'service-ready', name, pid, restarts })
    }
    stopServices = await startServices(specs, {
      supervisor,
      logs: places.logs,
      environment,
      given: env,
      ports,
      onReady: note,
      onDeath: ({ name }, how, againInMs) => report({ type: 'service-died', name, how, againInMs }),
    })
    if (options.signal?.aborted) {
      await stopServices()
      options.signal.throwIfAborted()
    }
    const apiKey = environment['OMIUM_API_KEY'] ?? credentials.apiKey
    report({
      type: 'up',
      afterMs: Math.round(performance.now() - begin),
      urls: state.urls,
      apiKey,
      data: places.data,
      logs: places.logs,
    })
    return { state, environment, apiKey, layout: places, supervisor, stop }
  } catch (error) {
    if (ephemeral && !options.signal?.aborted) {
      progress(`the logs are kept in ${keepFailedLogs(places.logs)}`)
    }
    await stop()
    throw error
  }
}

const portsOfServices = new Set(platformServices.map(({ readyPort }) => readyPort))

const isUsed = (port: PortName, brokers: 1 | 3, specs: readonly ServiceSpec[]): boolean => {
  if (/^kafka-[23]/.test(port)) return brokers === 3
  if (portsOfServices.has(port)) return specs.some(({ readyPort }) => readyPort === port)
  return !port.endsWith('-controller') && !port.endsWith('-management')
}
