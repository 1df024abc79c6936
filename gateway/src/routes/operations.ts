import type { FastifyInstance } from 'fastify'
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Services } from '../services.ts'

/** For operators: /health (the process lives), /ready (it can serve), /metrics. Measures every route that is added later. */
export const installOperations = (
  app: FastifyInstance,
  { pool, executions, recoveries, checkpoints, workflows, identity }: Services,
): void => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const duration = new Histogram({
    name: 'omium_gateway_request_seconds',
    help: 'Duration of requests, by route',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  })
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge('omium_gateway_outcomes_awaited', 'Commands whose outcome is awaited', () => executions.live.counters.waiting)
  gauge('omium_gateway_subscriptions', 'Executions that somebody watches', () => executions.live.counters.subscriptions)
  gauge('omium_gateway_live_events', 'Accepted events seen by the live tail', () => executions.live.counters.events)
  gauge('omium_gateway_database_waiting', 'Queries that wait for a connection', () => pool.waitingCount)

  app.addHook('onResponse', async (request, reply) => {
    duration.observe(
      { method: request.method, route: request.routeOptions.url ?? 'unknown', status: reply.statusCode },
      reply.elapsedTime / 1000,
    )
  })

  app.get('/health', { config: { public: true }, schema: { hide: true } as object }, async () => ({ status: 'ok' }))
  app.get('/ready', { config: { public: true }, schema: { hide: true } as object }, async (_request, reply) => {
    const problems = [executions, recoveries, checkpoints, workflows, identity].map((context) => context.notReady())
    const reason = problems.filter((problem) => problem !== null).join('; ')
    return reason ? reply.status(503).send({ status: 'not_ready', reason }) : { status: 'ready' }
  })
  app.get('/metrics', { config: { public: true }, schema: { hide: true } as object }, async (_request, reply) =>
    reply.header('content-type', registry.contentType).send(await registry.metrics()),
  )
}
