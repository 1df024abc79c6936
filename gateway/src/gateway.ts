import { createRights, createServiceTokens, openPolicies, routeRules, type SessionCallers } from '@omium/access'
import { createDeltaSubscriber } from '@omium/deltas'
import { createDomainProof } from '@omium/domain-proof'
import {
  createCheckpointObjects,
  createPayloadStore,
  createS3ObjectStore,
  withEnvelopeEncryption,
} from '@omium/payloads'
import { createPersonalData, createSubjectKeys, kmsOf } from '@omium/personal-data'
import {
  createPool,
  createReads,
  type LiveContextOptions,
  type ProjectionLog,
  requireWalls,
} from '@omium/projection-kit'
import { connectRedis } from '@omium/resilience'
import { openSignIn } from '@omium/sign-in'
import { createWebhookSecrets } from '@omium/webhook-secrets'
import { mintServiceToken, mintWorkerToken, verifyServiceToken } from '@omium/worker-tokens'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { createAgents } from './agents.ts'
import { buildApp } from './app.ts'
import { createCommands } from './commands.ts'
import type { Config } from './config.ts'
import { type GatewayContext, openGatewayContext } from './context.ts'
import { createKnownModels } from './known-models.ts'
import { listen } from './listen.ts'
import { ensureLocalKey } from './local-key.ts'
import type { GatewayLogs } from './logs.ts'
import { createHistories } from './rewind/histories.ts'
import { createStreamSlots } from './streams/stream-slots.ts'
import { createTriggerSignatures } from './trigger-signatures.ts'

/** a database that hangs is away, ms */
const queryTimeoutMs = 15_000
/** how long requests in flight may take when the process ends, ms */
const drainMs = 5_000

/** Puts the gateway together and listens. What it opened is closed in reverse by `close`, requests in flight first. */
export const startGateway = async (
  config: Config,
  logs: GatewayLogs,
  logger: Logger,
  { sessions }: { readonly sessions?: SessionCallers } = {},
) => {
  const { context } = logs.execution
  const { databaseUrl, limits, tokenSecret, newKeys } = config
  const policies = await openPolicies(config.policiesFile, {
    environment: newKeys.environment,
    nowMs: context.nowMs,
    notices: logger,
  })
  const pool = createPool(databaseUrl, {
    max: 20,
    application_name: 'omium-gateway',
    query_timeout: queryTimeoutMs,
    // what nobody waits for any more ends in the database, too
    statement_timeout: queryTimeoutMs - 1_000,
    onIdleError: (error) => logger.warn({ err: error }, 'an idle database connection broke'),
  })
  await requireWalls(pool)
  const reads = createReads(pool)
  const warn = (message: string, error: unknown) => logger.warn({ err: error }, message)
  const kms = kmsOf(config.kms)
  const personalData = createPersonalData({
    kms,
    keys: createSubjectKeys(pool),
    digestKey: config.digestKey,
    nowMs: context.nowMs,
  })
  const rights = createRights({ reads, keys: newKeys, open: personalData.open, nowMs: context.nowMs })
  const open = (log: ProjectionLog, projection: string, begin?: LiveContextOptions['begin']): Promise<GatewayContext> =>
    openGatewayContext({
      log,
      projection,
      pool,
      databaseUrl,
      commandTimeoutMs: config.commandTimeoutMs,
      readWaitMs: limits.readWaitMs,
      begin,
      onNotice: warn,
    })
  const [executions, recoveries, workflows, checkpoints, identity, webhooks] = await Promise.all([
    open(logs.execution, 'executions'),
    open(logs.recovery, 'recoveries'),
    open(logs.workflow, 'workflows'),
    open(logs.checkpoint, 'checkpoints'),
    open(logs.identity, 'identity', rights.follow),
    open(logs.webhook, 'webhooks'),
  ])
  const objects = await createS3ObjectStore(config.s3)
  const payloads = createPayloadStore(objects)
  const deltas = config.redisUrl
    ? createDeltaSubscriber({
        url: config.redisUrl,
        topicPrefix: config.topicPrefix,
        onError: (error) => warn('live output is not shown for the moment', error),
      })
    : undefined
  const redis = config.redisUrl
    ? connectRedis(config.redisUrl, (error) => warn('limits are counted by this process alone for the moment', error))
    : undefined
  if (config.localApiKey !== undefined) await ensureLocalKey(config.localApiKey, { identity, reads, newKeys })
  const models = createKnownModels(config.modelsUrl, (error) => warn('which models there are cannot be checked', error))
  const signIn = await openSignIn({
    ...config.signIn,
    egress: config.egress,
    env: process.env,
    tokenSecret,
    pool,
    reads,
    rights,
    kms,
    identity,
    personalData,
    redisUrl: config.redisUrl,
    redisPrefix: config.topicPrefix,
    ids: context.ids,
    nowMs: context.nowMs,
    onNotice: warn,
  })
  const webhookSecrets = createWebhookSecrets({
    kms,
    query: (tenant, text, values) => reads.query({ tenant }, text, values),
  })
  const { issuer, keys } = signIn.signatures
  const keyOf = async ({ kid = '' }: { kid?: string }) => {
    const key = await keys.verifying(kid)
    if (!key) throw new RangeError('no such key')
    return key
  }
  const { nowMs } = context
  const domainProof = createDomainProof({ servers: config.dnsServers, timeoutMs: 5_000 })
  const serviceTokens = createServiceTokens({
    verify: (token) => verifyServiceToken({ issuer, audience: 'gateway', keyOf, nowMs }, token),
    rights,
    reads,
    nowMs,
  })
  const app = await buildApp(
    {
      reads,
      redis,
      objects,
      topicPrefix: config.topicPrefix,
      corsOrigins: config.corsOrigins,
      trustedProxies: config.trustedProxies,
      rates: config.rates,
      executions,
      commands: createCommands(executions.execute),
      recoveries,
      checkpoints,
      workflows,
      checkpointObjects: createCheckpointObjects(withEnvelopeEncryption(objects, config.encryptionKeys), context.nowMs),
      triggerSignatures: createTriggerSignatures(webhookSecrets, tokenSecret),
      webhooks,
      webhookSecrets,
      egress: config.egress,
      deltas,
      agents: createAgents(reads, executions.live),
      payloads,
      histories: createHistories(reads, payloads, context.nowMs),
      models,
      streamSlots: createStreamSlots(limits.streamsPerTenant),
      identity,
      rights,
      apiKeys: rights.apiKeys,
      newKeys,
      policies,
      serviceTokens,
      people: { sessions: sessions ?? signIn.callers, members: rights.members },
      signIn,
      domainProof,
      personalData,
      ids: context.ids,
      nowMs: context.nowMs,
      mintWorkerToken: (claims) => mintWorkerToken(tokenSecret, claims),
      mintServiceToken: (audience, claims) =>
        mintServiceToken({ issuer, signing: keys.signing, nowMs }, audience, claims),
      limits,
    },
    logger,
  )
  const { url, stop } = await listen(app, config)
  return {
    url,
    /** every route and what it needs */
    rules: routeRules(app as unknown as FastifyInstance),
    close: async () => {
      stop()
      // whoever is too slow for that, on purpose or not, must not hold up the end
      const bound = setTimeout(() => app.server.closeAllConnections(), drainMs)
      await app.close()
      clearTimeout(bound)
      policies?.close()
      signIn.close()
      domainProof.close()
      models.close()
      deltas?.close()
      redis?.disconnect()
      await Promise.all([executions, recoveries, checkpoints, workflows, identity, webhooks].map((one) => one.close()))
      await objects.close()
      kms.close()
      await pool.end()
    },
  }
}
