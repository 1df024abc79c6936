import { randomUUID } from 'node:crypto'
import { type ApiKeys, installGuard, type Policies, type ServiceTokens } from '@omium/access'
import { asUnavailable } from '@omium/projection-kit'
import { closeWhenQuiet } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { CallerGone } from './calls/failures.ts'
import type { Minting } from './dialects/dialect.ts'
import type { ModelMetrics } from './metrics.ts'
import type { Redact } from './redaction.ts'
import type { Registry } from './registry/registry.ts'
import { createNote, installCallRoutes } from './routes/calls.ts'
import { installModelRoutes } from './routes/models.ts'
import { installResponseRoutes } from './routes/responses.ts'
import type { ModelService } from './service.ts'
import { errorBody, errorHeaders, statusOf, toOmiumError } from './wire/errors.ts'

export interface AppParts {
  readonly apiKeys: ApiKeys
  readonly serviceTokens: ServiceTokens
  readonly policies: Policies | undefined
  readonly registry: Registry
  readonly service: ModelService
  readonly metrics: ModelMetrics
  readonly redact: Redact
  readonly minting: Minting
  readonly logPrompts: boolean
  readonly bodyBytes: number
  /** `x-forwarded-for` counts from these only: keys may be limited to addresses */
  readonly trustedProxies: readonly string[]
  /** null when calls can be served, otherwise what is missing */
  notReady(): Promise<string | null>
  /** what calls can be served without; empty: nothing is missing */
  degraded(): string
}

/** The HTTP server, not yet listening. */
export const buildApp = async (parts: AppParts, loggerInstance: FastifyBaseLogger): Promise<FastifyInstance> => {
  const { apiKeys, serviceTokens, policies, registry, service, metrics, redact } = parts
  const app: FastifyInstance = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: parts.bodyBytes,
    // until the whole request is there
    requestTimeout: 60_000,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000 },
    trustProxy: parts.trustedProxies.length > 0 ? [...parts.trustedProxies] : false,
    genReqId: () => `req_${randomUUID()}`,
    routerOptions: { maxParamLength: 300 },
  })
  // a call that came too late is told so, and made elsewhere
  closeWhenQuiet(app.server)

  const fail = (thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const error = toOmiumError(asUnavailable(thrown))
    if (!(thrown instanceof CallerGone)) {
      // what a provider said may hold a part of the prompt or of a key: the code says enough
      if (error.code === 'internal') request.log.error({ err: thrown }, 'a call failed in an unexpected way')
      else if (statusOf(error) >= 500)
        request.log.warn({ code: error.code, tried: error.data ?? null }, 'a call failed')
    }
    return reply
      .status(statusOf(error))
      .headers(errorHeaders(error))
      .header('content-type', 'application/json; charset=utf-8')
      .send(errorBody(error, redact(error.message), request.id))
  }
  app.setErrorHandler((error, request, reply) => fail(error, request, reply))
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]
    const advice = path?.startsWith('/v1/responses')
      ? '; responses are not kept: there is none to get, cancel or delete'
      : ''
    return fail(new OmiumError('not_found', `there is no ${request.method} ${path}${advice}`), request, reply)
  })
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
  })
  app.addHook('onResponse', async ({ method, routeOptions }, { statusCode, elapsedTime }) =>
    metrics.requested(method, routeOptions.url, statusCode, elapsedTime),
  )
  installGuard(app, { apiKeys, serviceTokens, policies })

  const calls = { service, redact, note: createNote(redact, parts.logPrompts) }
  installCallRoutes(app, calls)
  installResponseRoutes(app, { ...calls, minting: parts.minting })
  const open = { config: { public: true } } as const
  installModelRoutes(app, registry, service)
  app.get('/health', open, async () => ({ status: 'ok' }))
  app.get('/ready', open, async (_request, reply) => {
    const missing = await parts.notReady()
    if (missing !== null) return reply.status(503).send({ status: 'not ready', missing })
    const degraded = parts.degraded()
    return { status: 'ready', ...(degraded && { degraded }) }
  })
  app.get('/metrics', open, async (_request, reply) =>
    reply.header('content-type', metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
  await app.ready()
  return app
}
