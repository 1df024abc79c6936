import { createApiKeys } from '@omium/api-keys'
import { createDeltaSubscriber } from '@omium/deltas'
import {
  createCheckpointObjects,
  createPayloadStore,
  createS3ObjectStore,
  withEnvelopeEncryption,
} from '@omium/payloads'
import { createPool, type ProjectionLog } from '@omium/projection-kit'
import { mintWorkerToken } from '@omium/worker-tokens'
import type { Logger } from 'pino'
import { createAgents } from './agents.ts'
import { buildApp } from './app.ts'
import { createCommands } from './commands.ts'
import type { Config } from './config.ts'
import { type GatewayContext, openGatewayContext } from './context.ts'
import { createKnownModels } from './known-models.ts'
import { createWebhookSecrets } from './webhook-secrets.ts'

/** One for each context that the gateway takes part in. */
export interface GatewayLogs {
  readonly execution: ProjectionLog
  readonly recovery: ProjectionLog
  readonly checkpoint: ProjectionLog
  readonly workflow: ProjectionLog
}

/** Puts the gateway together and listens. What it opened is closed in reverse by `close`, requests in flight first. */
export const startGateway = async (config: Config, logs: GatewayLogs, logger: Logger) => {
  const { context } = logs.execution
  const { databaseUrl, limits, tokenSecret } = config
  const pool = createPool(databaseUrl, {
    max: 20,
    application_name: 'omium-gateway',
    onIdleError: (error) => logger.warn({ err: error }, 'an idle database connection broke'),
  })
  const warn = (message: string, error: unknown) => logger.warn({ err: error }, message)
  const open = (log: ProjectionLog, projection: string): Promise<GatewayContext> =>
    openGatewayContext({
      log,
      projection,
      pool,
      databaseUrl,
      commandTimeoutMs: config.commandTimeoutMs,
      readWaitMs: limits.readWaitMs,
      onNotice: warn,
    })
  const [executions, recoveries, workflows, checkpoints] = await Promise.all([
    open(logs.execution, 'executions'),
    open(logs.recovery, 'recoveries'),
    open(logs.workflow, 'workflows'),
    open(logs.checkpoint, 'checkpoints'),
  ])
  const objects = await createS3ObjectStore(config.s3)
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
      executions,
      commands: createCommands(executions.execute),
      recoveries,
      checkpoints,
      workflows,
      checkpointObjects: createCheckpointObjects(withEnvelopeEncryption(objects, config.encryptionKeys), context.nowMs),
      webhookSecrets: createWebhookSecrets(tokenSecret),
      deltas,
      agents: createAgents(pool, executions.live),
      models: createKnownModels(config.modelsUrl, (error) => warn('which models there are cannot be checked', error)),
      payloads: createPayloadStore(objects),
      apiKeys: createApiKeys(pool, context.nowMs),
      ids: context.ids,
      nowMs: context.nowMs,
      topicPrefix: config.topicPrefix,
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
      await Promise.all([executions, recoveries, checkpoints, workflows].map((one) => one.close()))
      await objects.close()
      await pool.end()
    },
  }
}
