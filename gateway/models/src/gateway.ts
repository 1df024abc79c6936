import { randomBytes } from 'node:crypto'
import { createRights, createServiceTokens, openPolicies } from '@omium/access'
import { noticesTo } from '@omium/kit'
import { openLog, openTail } from '@omium/log'
import { createPool, createReads, openLiveContext, requireWalls } from '@omium/projection-kit'
import { connectRedis } from '@omium/resilience'
import { identityContext } from '@omium/schemas'
import { publishedKeys, verifyServiceToken } from '@omium/worker-tokens'
import type { Logger } from 'pino'
import { buildApp } from './app.ts'
import { createCache } from './cache.ts'
import { createDispatcher } from './calls/dispatcher.ts'
import { createExchanges } from './calls/exchange.ts'
import { createTransport } from './calls/transport.ts'
import type { ModelGatewayConfig } from './config.ts'
import { createLocalBuckets } from './limits/buckets.ts'
import { createRedisBuckets } from './limits/redis-buckets.ts'
import { createTenantLimits } from './limits/tenants.ts'
import { createModelMetrics } from './metrics.ts'
import { createRedaction } from './redaction.ts'
import { createRegistry } from './registry/registry.ts'
import type { ModelSettings } from './registry/settings.ts'
import { createModelService } from './service.ts'

/** a database that hangs is away, ms */
const queryTimeoutMs = 15_000
/** for calls in flight when the process is to end, ms */
const graceMs = 6_000

/**
 * Puts the service together and listens; `close` takes no new calls and gives those in flight some seconds to end.
 * @throws OmiumError `settings_invalid`
 */
export const startModelGateway = async (
  config: ModelGatewayConfig,
  settings: ModelSettings,
  env: Readonly<Record<string, string | undefined>>,
  logger: Logger,
) => {
  const nowMs = Date.now
  const registry = createRegistry(settings, env)
  const policies = await openPolicies(config.policiesFile, {
    environment: config.keys.environment,
    nowMs,
    notices: logger,
  })
  const pool = createPool(config.databaseUrl, {
    max: 5,
    application_name: 'omium-models',
    query_timeout: queryTimeoutMs,
    // what nobody waits for any more ends in the database, too
    statement_timeout: queryTimeoutMs - 1_000,
    onIdleError: (error) => logger.warn({ err: error }, 'an idle database connection broke'),
  })
  await requireWalls(pool)
  const reads = createReads(pool)
  const redis = config.redisUrl
    ? connectRedis(config.redisUrl, (error) =>
        logger.warn({ err: error }, 'without Redis: no cache, and limits hold for each process'),
      )
    : undefined
  const local = createLocalBuckets(nowMs)
  const buckets = redis ? createRedisBuckets(redis, config.keyPrefix, local) : local
  const metrics = createModelMetrics()
  const dispatcher = createDispatcher(registry, settings, { buckets, nowMs, random: Math.random, onTry: metrics.tried })
  for (const metric of policies?.metrics ?? []) metrics.registry.registerMetric(metric)
  metrics.watch(dispatcher, registry.label)
  const transport = createTransport(nowMs)
  const minting = {
    id: (prefix: string) => `${prefix}_${randomBytes(12).toString('hex')}`,
    nowSeconds: () => Math.floor(nowMs() / 1000),
  }
  const service = createModelService({
    registry,
    dispatcher,
    exchanges: createExchanges(transport, minting),
    tenants: createTenantLimits(settings.limits, buckets),
    cache: createCache(redis, config.keyPrefix, settings.cache),
    metrics,
    nowMs,
  })
  const rights = createRights({ reads, keys: config.keys, nowMs })
  const log = await openLog(config.log, {
    definition: identityContext,
    clientId: 'omium-models',
    onNotice: noticesTo(logger),
  })
  const identity = await openLiveContext({
    log: { context: log, openTail },
    projection: 'identity',
    pool,
    databaseUrl: config.databaseUrl,
    begin: rights.follow,
    onNotice: (message, error) => logger.warn({ err: error }, message),
  })
  const issuer = new URL(config.platformUrl).origin
  const keyOf = publishedKeys(config.platformUrl)
  const serviceTokens = createServiceTokens({
    verify: (token) => verifyServiceToken({ issuer, audience: 'models', keyOf, nowMs }, token),
    rights,
    reads,
    nowMs,
  })
  const app = await buildApp(
    {
      apiKeys: rights.apiKeys,
      serviceTokens,
      policies,
      registry,
      service,
      metrics,
      redact: createRedaction(registry.secrets),
      minting,
      logPrompts: config.logPrompts,
      bodyBytes: config.bodyBytes,
      trustedProxies: config.trustedProxies,
      notReady: () =>
        reads.query({}, 'SELECT 1').then(
          () => null,
          () => 'the database, which holds the API keys',
        ),
      degraded: () => [identity.notReady(), policies?.problem() ?? null].filter((one) => one !== null).join('; '),
    },
    logger,
  )
  const url = await app.listen({ host: config.host, port: config.port })
  return {
    url,
    close: async () => {
      // then the rest is told that it may be asked again, which is better than a connection that breaks
      const cut = setTimeout(() => void transport.close(), graceMs)
      await app.close()
      clearTimeout(cut)
      policies?.close()
      dispatcher.close()
      await transport.close()
      redis?.disconnect()
      await identity.close()
      await log.transport.close()
      await pool.end()
    },
  }
}
