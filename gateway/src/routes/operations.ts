import { type Counter, createMetrics, Gauge, measureRequests } from '@omium/kit'
import type { FastifyInstance } from 'fastify'
import type { GatewayContext } from '../context.ts'
import { drainSignal } from '../drain.ts'
import { createProbe, type Probe } from '../probes.ts'
import type { Services } from '../services.ts'

/**
 * For operators: /health (the process lives), /ready (it can serve), /metrics. Measures every route that is added later.
 *
 * It is ready without what most requests do not need: taken out of its service for the loss of something that all gateways share,
 * it would turn away what it could have done. That is said, and measured.
 */
export const installOperations = (
  app: FastifyInstance,
  services: Services,
  unread: ReadonlyMap<string, number>,
  shed: Counter<'kind'>,
): void => {
  const { reads, redis, objects, executions, recoveries, checkpoints, workflows, identity, webhooks } = services
  const contexts: Readonly<Record<string, GatewayContext>> = {
    execution: executions,
    recovery: recoveries,
    checkpoint: checkpoints,
    workflow: workflows,
    identity,
    webhook: webhooks,
  }
  const registry = createMetrics()
  const registers = [registry]
  registry.registerMetric(shed)
  for (const metric of services.policies?.metrics ?? []) registry.registerMetric(metric)
  const measure = measureRequests(registry, 'omium_gateway_request_seconds')
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
  gauge('omium_gateway_database_waiting', 'Queries that wait for a connection', () => reads.waiting)
  new Gauge({
    name: 'omium_gateway_rejected_records',
    help: 'Records that the acceptance rule refused since the start: zombies, and what they wrote late',
    labelNames: ['context', 'reason'],
    registers,
    collect() {
      for (const [context, { live }] of Object.entries(contexts))
        for (const [reason, count] of live.counters.rejected) this.set({ context, reason }, count)
    },
  })
  new Gauge({
    name: 'omium_gateway_read_lag_records',
    help: 'Records that the live tail has shown and the read models do not have yet',
    labelNames: ['context'],
    registers,
    collect() {
      for (const [context, { live, positions }] of Object.entries(contexts)) {
        let lag = 0
        for (let partition = 0; partition < live.partitionCount; partition++)
          lag += Math.max(0, live.nextOffset(partition) - positions.nextOffset(partition))
        this.set({ context }, lag)
      }
    },
  })

  new Gauge({
    name: 'omium_gateway_unread_requests',
    help: 'Requests that were refused before they were one, since the start: what HTTP does not allow, and what came too slowly',
    labelNames: ['code'],
    registers,
    collect() {
      for (const [code, count] of unread) this.set({ code }, count)
    },
  })

  app.addHook('onResponse', async (request, reply) => {
    measure(request.method, request.routeOptions.url, reply.statusCode, reply.elapsedTime)
  })

  // not the time of day, which may be set back
  const nowMs = () => performance.now()
  const needed: readonly Probe[] = [
    createProbe('the database', () => reads.query({}, 'SELECT 1'), { nowMs, timeoutMs: 2_000 }),
    createProbe('the log', () => executions.askLog(), { nowMs, timeoutMs: 2_000 }),
  ]
  // whoever asks often waits a second only: what is not needed must not make them give up
  const short = { nowMs, timeoutMs: 500 }
  const optional: readonly Probe[] = [
    createProbe('the object store', () => objects.pages('', 1)[Symbol.asyncIterator]().next(), short),
    ...(redis ? [createProbe('Redis', () => redis.ping(), short)] : []),
  ]
  const told = (problems: readonly (string | null)[]): string =>
    problems.filter((problem) => problem !== null).join('; ')

  const draining = drainSignal(app)
  const notReady = async (): Promise<string> => {
    const asked = await Promise.all(needed.map((probe) => probe()))
    const problems = [...Object.values(contexts).map((context) => context.notReady()), ...asked]
    if (draining.aborted) problems.push('the process ends')
    return told(problems)
  }

  const route = { config: { limit: 'none', public: true } as const, schema: { hide: true } as object }
  app.get('/health', route, async () => ({ status: 'ok' }))
  app.get('/ready', route, async (_request, reply) => {
    const [reason, ...lacking] = await Promise.all([notReady(), ...optional.map((probe) => probe())])
    if (reason) return reply.status(503).send({ status: 'not_ready', reason })
    const degraded = told([...lacking, services.policies?.problem() ?? null])
    return { status: 'ready', ...(degraded && { degraded }) }
  })
  app.get('/metrics', route, async (_request, reply) =>
    reply.header('content-type', registry.contentType).send(await registry.metrics()),
  )
}
