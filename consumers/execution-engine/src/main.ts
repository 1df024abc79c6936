import { createDeltaPublisher } from '@omium/deltas'
import { ContextView, runCapability, systemClock } from '@omium/kit'
import { createPayloadStore } from '@omium/payloads'
import { executionContext, identityContext } from '@omium/schemas'
import { publishedKeys, verifyServiceToken } from '@omium/worker-tokens'
import { createAgentRegistrar } from './agent-registrar.ts'
import { readConfig } from './config.ts'
import { Engine } from './engine.ts'
import { executionMachine } from './machine.ts'
import { createEngineMetrics } from './metrics.ts'
import { createAdmission } from './worker-server/admission.ts'
import { openWorkerServer } from './worker-server/server.ts'

/** The composition root of an execution engine process. */

const workersLeaveMs = 1_000

const settings = readConfig()
const { OMIUM_ENGINE_HOST: host, OMIUM_ENGINE_PORT: port, OMIUM_REDIS_URL: redisUrl } = settings
const metrics = createEngineMetrics()

await runCapability({
  name: 'execution-engine',
  context: executionContext,
  settings,
  listen: { host, port },
  metrics: metrics.registry,
  async build({ log, logger, life, health, objects, openLog, openCommandSender }) {
    const commands = await openCommandSender(log)
    const onError = (error: unknown): void => logger.warn({ err: error }, 'live output is not shown for the moment')
    const topicPrefix = settings.OMIUM_TOPIC_PREFIX
    const deltas = redisUrl ? createDeltaPublisher({ url: redisUrl, topicPrefix, onError }) : undefined
    if (deltas) life.onClose('live output', async () => deltas.close())
    const engine = new Engine({
      payloads: createPayloadStore(objects),
      clock: systemClock,
      notices: logger,
      measures: metrics.measures,
      liveOutput: deltas ?? { publish: () => undefined },
    })
    const { nowMs } = systemClock
    const keyOf = publishedKeys(settings.OMIUM_URL)
    const issuer = new URL(settings.OMIUM_URL).origin
    const admission = createAdmission({
      tokenSecret: settings.OMIUM_TOKEN_SECRET,
      verifyService: (token) => verifyServiceToken({ issuer, audience: 'engine', keyOf, nowMs }, token),
      nowMs,
    })
    const revocations = new ContextView({
      context: await openLog(identityContext),
      clock: systemClock,
      notices: logger,
      wants: admission.wants,
      learn: admission.observe,
    })
    life.onClose('revocations', () => revocations.close())
    await revocations.open()
    const literalHost = host.includes(':') ? `[${host}]` : host
    return {
      machine: executionMachine,
      handler: engine,
      endpoint: settings.OMIUM_ENGINE_ADVERTISED_URL ?? `ws://${literalHost}:${health.port}`,
      joined(running) {
        metrics.observe(engine, running.owner)
        const workers = openWorkerServer({
          http: health.http,
          host: engine,
          registrar: createAgentRegistrar({ commands, ids: log.ids, notices: logger }),
          notices: logger,
          admission,
          heartbeatIntervalMs: settings.OMIUM_WORKER_HEARTBEAT_MS,
          leaseMs: settings.OMIUM_WORKER_LEASE_MS,
          nowMs,
          newSessionId: () => log.ids('session'),
        })
        life.onClose('workers', async () => {
          engine.leave()
          await workers.close(workersLeaveMs)
        })
      },
    }
  },
})
