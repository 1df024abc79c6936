import { createApiKeys } from '@omium/api-keys'
import { createDeltaSubscriber } from '@omium/deltas'
import { openCommandSender } from '@omium/log'
import {
  createCheckpointObjects,
  createPayloadStore,
  createS3ObjectStore,
  withEnvelopeEncryption,
} from '@omium/payloads'
import { createPool, newestCheckpoints, type ProjectionLog, watchPositions } from '@omium/projection-kit'
import { mintWorkerToken } from '@omium/worker-tokens'
import type { Logger } from 'pino'
import { createAgents } from './agents.ts'
import { buildApp } from './app.ts'
import { openCheckpoints } from './checkpoints/service.ts'
import { createCommands } from './commands.ts'
import type { Config } from './config.ts'
import { openLive } from './live.ts'
import { openRecoveries } from './recoveries/service.ts'
import { openWorkflows } from './workflows/service.ts'

/** projections whose stored checkpoints the live tail may start from */
const checkpointed = ['executions']

/** One for each context that the gateway takes part in. */
export interface GatewayLogs {
  readonly execution: ProjectionLog
  readonly recovery: ProjectionLog
  readonly checkpoint: ProjectionLog
  readonly workflow: ProjectionLog
}

/** Puts the gateway together and listens. What it opened is closed in reverse by `close`, requests in flight first. */
export const startGateway = async (config: Config, logs: GatewayLogs, logger: Logger) => {
  const { context, openTail } = logs.execution
  const { databaseUrl, limits, tokenSecret } = config
  const pool = createPool(databaseUrl, {
    max: 20,
    application_name: 'omium-gateway',
    onIdleError: (error) => logger.warn({ err: error }, 'an idle database connection broke'),
  })
  const warn = (message: string, error: unknown) => logger.warn({ err: error }, message)
  const positions = await watchPositions(databaseUrl, 'executions', warn)
  const live = await openLive({
    context,
    openTail,
    checkpoints: () => newestCheckpoints(pool, checkpointed),
    onNotice: warn,
  })
  const sender = await openCommandSender(context)
  const objects = await createS3ObjectStore(config.s3)
  const recoveries = await openRecoveries({
    log: logs.recovery,
    pool,
    databaseUrl,
    commandTimeoutMs: config.commandTimeoutMs,
    readWaitMs: limits.readWaitMs,
    onNotice: warn,
  })
  const workflows = await openWorkflows({
    log: logs.workflow,
    pool,
    databaseUrl,
    commandTimeoutMs: config.commandTimeoutMs,
    tokenSecret,
    onNotice: warn,
  })
  const checkpoints = await openCheckpoints({
    log: logs.checkpoint,
    pool,
    databaseUrl,
    objects: createCheckpointObjects(withEnvelopeEncryption(objects, config.encryptionKeys), context.nowMs),
    commandTimeoutMs: config.commandTimeoutMs,
    readWaitMs: limits.readWaitMs,
    onNotice: warn,
  })
  const deltas = config.redisUrl
    ? createDeltaSubscriber({
        url: config.redisUrl,
        topicPrefix: config.topicPrefix,
        onError: (error) => warn('live output is not shown for the moment', error),
      })
    : undefined
  const app = await buildApp(
    {
      pool,
      positions,
      live,
      deltas,
      commands: createCommands(sender, live, config.commandTimeoutMs),
      recoveries,
      checkpoints,
      workflows,
      agents: createAgents(pool, live),
      payloads: createPayloadStore(objects),
      apiKeys: createApiKeys(pool, context.nowMs),
      ids: context.ids,
      nowMs: context.nowMs,
      mintWorkerToken: (claims) => mintWorkerToken(tokenSecret, claims),
      limits,
    },
    logger,
  )
  const url = await app.listen({ host: config.host, port: config.port })
  return {
    url,
    close: async () => {
      await app.close()
      deltas?.close()
      await recoveries.close()
      await checkpoints.close()
      await workflows.close()
      await sender.close()
      await live.close()
      await positions.close()
      await objects.close()
      await pool.end()
    },
  }
}
