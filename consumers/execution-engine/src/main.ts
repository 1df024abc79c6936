import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createDeltaPublisher } from '@omium/deltas'
import { createLogger, noticesTo, openHealthServer, openObjects, runService, systemClock } from '@omium/kit'
import { openCommandSender, openLog, openOwner } from '@omium/log'
import { createPayloadStore, createSnapshotStore } from '@omium/payloads'
import { executionContext } from '@omium/schemas'
import { createAgentRegistrar } from './agent-registrar.ts'
import { readConfig } from './config.ts'
import { Engine } from './engine.ts'
import { executionMachine } from './machine.ts'
import { createEngineMetrics } from './metrics.ts'
import { openWorkerServer } from './worker-server/server.ts'

/** The composition root of an execution engine process. */

const drainMs = 15_000
const workersLeaveMs = 1_000

const config = readConfig()
const logger = createLogger('execution-engine', config.OMIUM_LOG_LEVEL)
const name = `execution-engine-${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`

await runService({
  logger,
  drainMs,
  async start(life) {
    let missing: string | null = 'the process has not joined its group'
    const metrics = createEngineMetrics()
    const health = await openHealthServer({
      listen: { host: config.OMIUM_ENGINE_HOST, port: config.OMIUM_ENGINE_PORT },
      metrics: metrics.registry,
      notReady: () => missing,
    })
    life.onClose('http', () => health.close())
    const host = config.OMIUM_ENGINE_HOST.includes(':') ? `[${config.OMIUM_ENGINE_HOST}]` : config.OMIUM_ENGINE_HOST
    const endpoint = config.OMIUM_ENGINE_ADVERTISED_URL ?? `ws://${host}:${health.port}`

    const objects = await openObjects(config)
    life.onClose('object store', () => objects.close())
    const context = await openLog(config, {
      definition: executionContext,
      clientId: name,
      onNotice: noticesTo(logger),
    })
    life.onClose('log', () => context.transport.close())
    const commands = await openCommandSender(context)
    life.onClose('command sender', () => commands.close())

    const url = config.OMIUM_REDIS_URL
    const onError = (error: unknown): void => logger.warn({ err: error }, 'live output is not shown for the moment')
    const deltas = url ? createDeltaPublisher({ url, topicPrefix: config.OMIUM_TOPIC_PREFIX, onError }) : undefined
    if (deltas) life.onClose('live output', async () => deltas.close())

    const engine = new Engine({
      payloads: createPayloadStore(objects),
      clock: systemClock,
      notices: logger,
      measures: metrics.measures,
      liveOutput: deltas ?? { publish: () => undefined },
    })
    const owner = await openOwner(context, {
      machine: executionMachine,
      handler: engine,
      snapshots: createSnapshotStore(objects),
      snapshotEvery: config.OMIUM_SNAPSHOT_EVERY,
      owner: name,
      endpoint,
      sessionTimeoutMs: config.OMIUM_OWNER_SESSION_TIMEOUT_MS,
      onNotice: noticesTo(logger),
    })
    life.onClose('partitions', () => owner.close())
    metrics.observe(engine, owner)

    const workers = openWorkerServer({
      http: health.http,
      host: engine,
      registrar: createAgentRegistrar({ commands, ids: context.ids, notices: logger }),
      notices: logger,
      tokenSecret: config.OMIUM_TOKEN_SECRET,
      heartbeatIntervalMs: config.OMIUM_WORKER_HEARTBEAT_MS,
      leaseMs: config.OMIUM_WORKER_LEASE_MS,
      nowMs: systemClock.nowMs,
      newSessionId: () => context.ids('session'),
    })
    life.onClose('workers', async () => {
      missing = 'the process is ending'
      engine.leave()
      await workers.close(workersLeaveMs)
    })
    missing = null
    logger.info({ endpoint, owner: name }, 'ready')
  },
})
