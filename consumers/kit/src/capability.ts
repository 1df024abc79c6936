import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import {
  type CommandSender,
  type ContextHandler,
  type ContextOwner,
  type LogContext,
  logSettings,
  openCommandSender,
  openLog,
  openOwner,
  type SnapshotStore,
  type StateMachine,
} from '@omium/log'
import { createSnapshotStore, type ObjectStore } from '@omium/payloads'
import type { ContextDefinition, Settings } from '@omium/schemas'
import type { Registry } from 'prom-client'
import type { Following } from './follower.ts'
import { Followers } from './followers.ts'
import { type HealthServer, openHealthServer } from './http-server.ts'
import { type Lifecycle, runService } from './lifecycle.ts'
import { createLogger, type Logger } from './logger.ts'
import { exposeCounters } from './metrics.ts'
import { noticesTo, objectSettings, openObjects } from './objects.ts'
import { repeat } from './retry.ts'
import { systemClock } from './timer-queue.ts'

/** What every process that owns partitions of a context is told; a capability adds its own. */
export const capabilitySettings = [
  ...logSettings,
  ...objectSettings,
  'OMIUM_OWNER_SESSION_TIMEOUT_MS',
  'OMIUM_SNAPSHOT_EVERY',
  'OMIUM_LOG_LEVEL',
] as const
export type CapabilitySettings = Settings<(typeof capabilitySettings)[number]>

/** What a capability is made of; the rest of a process is the same for all. */
export interface Capability<S> {
  readonly machine: StateMachine<S>
  readonly handler: ContextHandler<S>
  /** advertised in claims */
  readonly endpoint?: string
  /** other contexts' events that go with the owned partitions */
  readonly follows?: readonly Following[]
  /** null when it can work, otherwise what is missing; asked once the process has joined its group */
  notReady?(): string | null
  /** The process is a member of its group. What is to be closed before the partitions are given up is registered here. */
  joined?(running: RunningCapability): void
}

export interface RunningCapability {
  readonly owner: ContextOwner
  readonly followers: Followers
}

/** What a capability is built from. Everything that is opened here is closed when the process ends. */
export interface CapabilityHost {
  /** of this process, unique */
  readonly name: string
  readonly logger: Logger
  readonly life: Lifecycle
  /** health, readiness and metrics; also for protocols that share the port */
  readonly health: HealthServer
  readonly objects: ObjectStore
  readonly snapshots: SnapshotStore
  /** the log of the capability's own context */
  readonly log: LogContext
  openLog(definition: ContextDefinition): Promise<LogContext>
  openCommandSender(context: LogContext): Promise<CommandSender>
  /** Does work again and again, so long after it was done, until the process ends. A failure is a warning. */
  repeat(what: string, everyMs: number, work: () => Promise<unknown>): void
}

export interface CapabilityOptions<S> {
  /** e.g. `workflow-manager` */
  readonly name: string
  readonly context: ContextDefinition
  readonly settings: CapabilitySettings
  readonly listen: { readonly host: string; readonly port: number }
  readonly metrics: Registry
  build(host: CapabilityHost): Promise<Capability<S>>
}

const drainMs = 15_000

/**
 * The process of a capability: opens what it needs, builds it, joins the group that owns its context, and follows what goes
 * with the partitions that it gets. Ending goes the other way round: what followers know is stored, what was registered in
 * `joined` is closed, partitions are given up with a snapshot, then everything else is closed.
 */
export const runCapability = async <S>(options: CapabilityOptions<S>): Promise<void> => {
  const { name: service, context, settings, listen, metrics, build } = options
  const logger = createLogger(service, settings.OMIUM_LOG_LEVEL)
  const name = `${service}-${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`
  const onNotice = noticesTo(logger)

  await runService({
    logger,
    drainMs,
    async start(life) {
      let missing: (() => string | null) | string = 'the process has not joined its group'
      const notReady = (): string | null => (typeof missing === 'string' ? missing : missing())
      const health = await openHealthServer({ listen, metrics, notReady })
      life.onClose('http', () => health.close())
      const objects = await openObjects(settings)
      life.onClose('object store', () => objects.close())

      const open = async (definition: ContextDefinition): Promise<LogContext> => {
        const log = await openLog(settings, { definition, clientId: name, onNotice })
        life.onClose(`${definition.name} log`, () => log.transport.close())
        return log
      }
      const log = await open(context)
      const snapshots = createSnapshotStore(objects)
      const capability = await build({
        name,
        logger,
        life,
        health,
        objects,
        snapshots,
        log,
        openLog: open,
        async openCommandSender(to) {
          const sender = await openCommandSender(to)
          life.onClose(`commands to ${to.definition.name}`, () => sender.close())
          return sender
        },
        repeat(what, everyMs, work) {
          const onFailure = (err: unknown): void => logger.warn({ err }, `${what} failed; it is tried again`)
          life.onClose(what, repeat(systemClock, everyMs, work, onFailure))
        },
      })
      const { machine, handler, endpoint, follows = [] } = capability
      const followers = await Followers.open(log, follows, { store: snapshots, clock: systemClock, notices: logger })
      const owner = await openOwner(log, {
        machine,
        handler: withFollowers(handler, followers),
        snapshots,
        snapshotEvery: settings.OMIUM_SNAPSHOT_EVERY,
        owner: name,
        sessionTimeoutMs: settings.OMIUM_OWNER_SESSION_TIMEOUT_MS,
        onNotice,
        ...(endpoint !== undefined && { endpoint }),
      })
      life.onClose('partitions', () => owner.close())
      exposeCounters(metrics, () => owner.counters)
      capability.joined?.({ owner, followers })
      life.onClose('followers', async () => {
        missing = 'the process is ending'
        await followers.leave()
      })
      missing = () => followers.notReady() ?? capability.notReady?.() ?? null
      logger.info({ owner: name, port: health.port, ...(endpoint !== undefined && { endpoint }) }, 'ready')
    },
  })
}

/** Followers go with the partitions. */
export const withFollowers = <S>(handler: ContextHandler<S>, followers: Followers): ContextHandler<S> => ({
  owned(partition) {
    handler.owned(partition)
    followers.owned(partition.partition)
  },
  command: (partition, command) => handler.command(partition, command),
  lost(partition) {
    followers.lost(partition)
    handler.lost(partition)
  },
})
