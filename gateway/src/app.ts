import { randomUUID } from 'node:crypto'
import helmet from '@fastify/helmet'
import swagger from '@fastify/swagger'
import underPressure from '@fastify/under-pressure'
import { OmiumError } from '@omium/schemas'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { createJsonSchemaTransform, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { installGuard } from './auth.ts'
import { installKeyLimits } from './key-limits.ts'
import { installProblems, sendProblem } from './problems.ts'
import { apiKeyRoutes } from './routes/api-keys.ts'
import { checkpointRoutes } from './routes/checkpoints.ts'
import { eventRoutes } from './routes/events.ts'
import { executionCommandRoutes } from './routes/execution-commands.ts'
import { executionRoutes } from './routes/executions.ts'
import { memberRoutes } from './routes/members.ts'
import { installOperations } from './routes/operations.ts'
import { platformRoutes } from './routes/platform.ts'
import { recoveryRoutes } from './routes/recoveries.ts'
import { recoveryPolicyRoutes } from './routes/recovery-policies.ts'
import { replayRoutes } from './routes/replays.ts'
import { rewindRoutes } from './routes/rewind.ts'
import { scheduleRoutes } from './routes/schedules.ts'
import { tenantRoutes } from './routes/tenants.ts'
import { triggerRoutes, webhookRoutes } from './routes/triggers.ts'
import { workflowRoutes } from './routes/workflows.ts'
import type { Services } from './services.ts'

const requestIdHeader = 'x-request-id'
const acceptableRequestId = /^[A-Za-z0-9._-]{8,128}$/

/** The HTTP server, not yet listening. What is wrong with a request is said in one place, problems.ts. */
export const buildApp = async (services: Services, loggerInstance: FastifyBaseLogger) => {
  const app = Fastify({
    loggerInstance,
    // two lines for each request would cost more than many requests; metrics count them, errors are logged
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: services.limits.bodyBytes,
    genReqId: ({ headers }) => {
      const given = headers[requestIdHeader]
      return typeof given === 'string' && acceptableRequestId.test(given) ? given : `req_${randomUUID()}`
    },
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: true,
  }).withTypeProvider<ZodTypeProvider>()

  app.setValidatorCompiler(validatorCompiler)
  // answers are typed against their schemas; checking them again at run time would only cost
  app.setSerializerCompiler(() => JSON.stringify)
  installProblems(app as unknown as FastifyInstance)
  installEmptyBodies(app as unknown as FastifyInstance)

  app.addHook('onRequest', async (request, reply) => {
    reply.header(requestIdHeader, request.id)
  })
  await app.register(helmet, { contentSecurityPolicy: { directives: { defaultSrc: ["'none'"] } } })
  await app.register(underPressure, {
    maxEventLoopDelay: 2_000,
    pressureHandler: (request, reply) => {
      sendProblem(new OmiumError('unavailable', 'the gateway is overloaded; try again shortly'), request, reply)
    },
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Omium', version: '1', description: 'Durable execution for teams of AI agents.' },
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
      security: [{ apiKey: [] }],
    },
    transform: createJsonSchemaTransform({ zodToJsonConfig: { unrepresentable: 'any' } as object }),
  })
  installGuard(app as unknown as FastifyInstance, services)
  installKeyLimits(app as unknown as FastifyInstance, services)

  installOperations(app as unknown as FastifyInstance, services)
  await app.register(executionRoutes(services))
  await app.register(executionCommandRoutes(services))
  await app.register(rewindRoutes(services))
  await app.register(replayRoutes(services))
  await app.register(eventRoutes(services))
  await app.register(recoveryRoutes(services))
  await app.register(recoveryPolicyRoutes(services))
  await app.register(checkpointRoutes(services))
  await app.register(platformRoutes(services))
  await app.register(workflowRoutes(services))
  await app.register(scheduleRoutes(services))
  await app.register(triggerRoutes(services))
  await app.register(webhookRoutes(services))
  await app.register(apiKeyRoutes(services))
  await app.register(tenantRoutes(services))
  await app.register(memberRoutes(services))
  await app.register(services.signIn.routes)
  app.get('/openapi.json', { config: { public: true }, schema: { hide: true } as object }, async () => app.swagger())
  await app.ready()
  return app
}

/** `content-type: application/json` with nothing after it is how many clients send no body. */
const installEmptyBodies = (app: FastifyInstance): void => {
  // values are the caller's own: a member `__proto__` is data like any other, and is never assigned to an object here
  const parse = app.getDefaultJsonParser('ignore', 'ignore')
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) return done(null, undefined)
    return parse(request, body as string, done)
  })
}
