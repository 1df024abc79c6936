import { createMetrics, Gauge, measureRequests } from '@omium/kit'
import type { FastifyInstance } from 'fastify'
import type { GatewayContext } from '../context.ts'
import { drainSignal } from '../drain.ts'
import type { Services } from '../services.ts'

/** a probe asks the database at most so often, and waits so long for it, ms */
const probeEveryMs = 1_000
const probeTimeoutMs = 2_000

/** For operators: /health (the process lives), /ready (it can serve), /metrics. Measures every route that is added later. */
export const installOperations = (
  app: FastifyInstance,
  services: Services,
  unread: ReadonlyMap<string, number>,
): void => {
  const { reads, executions, recoveries, checkpoints, workflows, identity, webhooks, nowMs } = services
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
  if (services.policies) registry.registerMetric(services.policies.denials)
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

  const probe = { at: Number.NEGATIVE_INFINITY, problem: Promise.resolve<string | null>(null) }
  /** null while the database answers; asked by many, it is asked once */
  const databaseProblem = (): Promise<string | null> => {
    if (nowMs() - probe.at < probeEveryMs) return probe.problem
    probe.at = nowMs()
    const slow = new Promise<string>((resolve) => {
      setTimeout(() => resolve('the database does not answer'), probeTimeoutMs).unref()
    })
    const asked = reads.query({}, 'SELECT 1').then(
      () => null,
      () => 'the database cannot be reached',
    )
    probe.problem = Promise.race([asked, slow])
    return probe.problem
  }
  const draining = drainSignal(app)
  const notReady = async (): Promise<string> => {
    const problems = [...Object.values(contexts).map((context) => context.notReady()), await databaseProblem()]
    if (draining.aborted) problems.push('the process ends')
    return problems.filter((problem) => problem !== null).join('; ')
  }

  const route = { config: { limit: 'none', public: true } as const, schema: { hide: true } as object }
  app.get('/health', route, async () => ({ status: 'ok' }))
  app.get('/ready', route, async (_request, reply) => {
    const reason = await notReady()
    return reason ? reply.status(503).send({ status: 'not_ready', reason }) : { status: 'ready' }
  })
  app.get('/metrics', route, async (_request, reply) =>
    reply.header('content-type', registry.contentType).send(await registry.metrics()),
  )
}
