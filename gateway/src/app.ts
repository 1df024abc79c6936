import { randomUUID } from 'node:crypto'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import underPressure from '@fastify/under-pressure'
import { closeWhenQuiet } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { installGuard } from './auth.ts'
import { installBodyBudget } from './body-budget.ts'
import { createClientErrors } from './client-errors.ts'
import { installEtags } from './etags.ts'
import { installIdempotency } from './idempotency.ts'
import { installJsonBodies } from './json-body.ts'
import { installKeyLimits } from './key-limits.ts'
import { installLoadShedding } from './load-shedding.ts'
import { installMinPosition } from './min-position.ts'
import { installOpenApi, showOpenApi } from './openapi.ts'
import { installProblems, sendProblem } from './problems.ts'
import { installRateLimits } from './rate-limits.ts'
import { traceparentOf } from './requests.ts'
import { apiKeyRoutes } from './routes/api-keys.ts'
import { checkpointRoutes } from './routes/checkpoints.ts'
import { domainRoutes } from './routes/domains.ts'
import { eventRoutes } from './routes/events.ts'
import { executionCommandRoutes } from './routes/execution-commands.ts'
import { executionRoutes } from './routes/executions.ts'
import { feedRoutes } from './routes/feeds.ts'
import { memberRoutes } from './routes/members.ts'
import { installOperations } from './routes/operations.ts'
import { platformRoutes } from './routes/platform.ts'
import { privacyRoutes } from './routes/privacy.ts'
import { recoveryRoutes } from './routes/recoveries.ts'
import { recoveryPolicyRoutes } from './routes/recovery-policies.ts'
import { replayRoutes } from './routes/replays.ts'
import { rewindRoutes } from './routes/rewind.ts'
import { scheduleRoutes } from './routes/schedules.ts'
import { serviceTokenRoutes } from './routes/service-tokens.ts'
import { ssoRoutes } from './routes/sso.ts'
import { streamRoutes } from './routes/stream.ts'
import { tenantRoutes } from './routes/tenants.ts'
import { triggerRoutes, webhookRoutes } from './routes/triggers.ts'
import { outgoingWebhookRoutes } from './routes/webhooks.ts'
import { workflowRoutes } from './routes/workflows.ts'
import type { Services } from './services.ts'
import { installUpgrades } from './streams/upgrades.ts'

const requestIdHeader = 'x-request-id'
const acceptableRequestId = /^[A-Za-z0-9._-]{8,128}$/
/** what programs in browsers may read of an answer */
const exposedHeaders = [
  requestIdHeader,
  'allow',
  'etag',
  'idempotency-replayed',
  'ratelimit-limit',
  'ratelimit-policy',
  'ratelimit-remaining',
  'ratelimit-reset',
  'retry-after',
]
/** the one that speaks WebSocket */
const streamPath = '/v1/stream'
/** requests over a WebSocket are a few fields */
const longestMessageBytes = 64 * 1024
/** beyond, what comes waits longer for its turn than for anything that it asks for */
const mostEventLoopDelayMs = 2_000

/** The HTTP server, not yet listening. What is wrong with a request is said in one place, problems.ts. */
export const buildApp = async (services: Services, loggerInstance: FastifyBaseLogger) => {
  const { limits, corsOrigins, trustedProxies, topicPrefix: prefix, rates, redis } = services
  const clientErrors = createClientErrors()
  const app = Fastify({
    loggerInstance,
    // two lines for each request would cost more than many requests; metrics count them, errors are logged
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      // how late the two limits above may be noticed
      connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
      // many clients offer HTTP/2 with every request: what is not ours to upgrade is a request like any other (RFC 9110, 7.8), with its
      // body, and within the limits above
      shouldUpgradeCallback: ({ headers, url }) =>
        headers.upgrade?.toLowerCase() === 'websocket' && url?.split('?')[0] === streamPath,
    },
    genReqId: ({ headers }) => {
      const given = headers[requestIdHeader]
      return typeof given === 'string' && acceptableRequestId.test(given) ? given : `req_${randomUUID()}`
    },
    childLoggerFactory: (logger, bindings, options, { headers }) => {
      const trace = traceparentOf(headers)?.split('-')[1]
      return logger.child(trace === undefined ? bindings : { ...bindings, traceId: trace }, options)
    },
    routerOptions: { maxParamLength: 200 },
    trustProxy: trustedProxies.length > 0 ? [...trustedProxies] : false,
    // at the end requests in flight are answered, and those that still come over kept connections
    return503OnClosing: false,
    clientErrorHandler: clientErrors.answer,
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply)
    },
  }).withTypeProvider<ZodTypeProvider>()
  const plain = app as unknown as FastifyInstance

  app.setValidatorCompiler(validatorCompiler)
  // answers are typed against their schemas; checking them again at run time would only cost
  app.setSerializerCompiler(() => JSON.stringify)
  closeWhenQuiet(plain.server)
  installProblems(plain)
  installJsonBodies(plain)

  app.addHook('onRequest', (request, reply, done) => {
    reply.header(requestIdHeader, request.id)
    done()
  })
  // what is for somebody who is known stays in no cache: browsers would keep it beyond the end of the session
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (request.caller && !reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    done()
  })
  // before everything that costs
  const shed = installLoadShedding(plain, services.reads, corsOrigins)
  await app.register(helmet, { contentSecurityPolicy: { directives: { defaultSrc: ["'none'"] } } })
  await app.register(cors, {
    origin: corsOrigins.length > 0 ? [...corsOrigins] : false,
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders,
    maxAge: 600,
    strictPreflight: false,
  })
  await app.register(underPressure, {
    maxEventLoopDelay: mostEventLoopDelayMs,
    pressureHandler: (request, reply) => {
      sendProblem(new OmiumError('unavailable', 'the gateway is overloaded; try again shortly'), request, reply)
    },
  })
  const upgrades = installUpgrades(plain, { longestMessageBytes })
  await installOpenApi(plain)
  const countMessage = await installRateLimits(plain, { rates, redis, prefix })
  installGuard(plain, services)
  installBodyBudget(plain)
  installKeyLimits(plain, services)
  installIdempotency(plain, { redis, prefix, digest: services.personalData.digest })
  installMinPosition(plain, services)
  installEtags(plain)

  installOperations(plain, services, clientErrors.counts, shed)
  await app.register(executionRoutes(services))
  await app.register(executionCommandRoutes(services))
  await app.register(rewindRoutes(services))
  await app.register(replayRoutes(services))
  await app.register(eventRoutes(services))
  await app.register(feedRoutes(services))
  await app.register(streamRoutes(services, upgrades, countMessage))
  await app.register(recoveryRoutes(services))
  await app.register(recoveryPolicyRoutes(services))
  await app.register(checkpointRoutes(services))
  await app.register(platformRoutes(services))
  await app.register(workflowRoutes(services))
  await app.register(scheduleRoutes(services))
  await app.register(triggerRoutes(services))
  await app.register(webhookRoutes(services))
  await app.register(outgoingWebhookRoutes(services))
  await app.register(apiKeyRoutes(services))
  await app.register(serviceTokenRoutes(services))
  await app.register(tenantRoutes(services))
  await app.register(memberRoutes(services))
  await app.register(ssoRoutes(services))
  await app.register(domainRoutes(services))
  await app.register(privacyRoutes(services))
  await app.register(services.signIn.routes)
  await showOpenApi(plain)
  await app.ready()
  return app
}
