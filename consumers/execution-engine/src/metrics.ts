import { Counter, createMetrics, exposeGauge, Gauge, Histogram, type Registry } from '@omium/kit'
import type { ContextOwner } from '@omium/log'
import type { ExecutionStatus } from '@omium/schemas'
import type { EngineMeasures } from './ports.ts'

/** What the gauges look at when they are scraped. */
export interface EngineView {
  readonly sessions: number
  readonly waiting: number
  readonly moments: number
  countByStatus(): ReadonlyMap<ExecutionStatus, number>
}

export interface EngineMetrics {
  readonly registry: Registry
  readonly measures: EngineMeasures
  /** from now on gauges show this engine */
  observe(engine: EngineView, owner: Pick<ContextOwner, 'partitions'>): void
}

export const createEngineMetrics = (): EngineMetrics => {
  const registry = createMetrics()
  const registers = [registry]
  const dispatch = new Histogram({
    name: 'omium_dispatch_seconds',
    help: 'From the moment a run could be handed out to the moment a worker was sent it',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
    registers,
  })
  const lost = new Counter({
    name: 'omium_attempts_lost_total',
    help: 'Attempts that ended with their worker or its connection',
    labelNames: ['reason'],
    registers,
  })
  const refused = new Counter({
    name: 'omium_worker_requests_refused_total',
    help: 'Requests of workers that changed nothing, by error code',
    labelNames: ['code'],
    registers,
  })
  return {
    registry,
    measures: {
      dispatched: (latencyMs) => dispatch.observe(latencyMs / 1000),
      attemptLost: (reason) => lost.inc({ reason }),
      requestRefused: (code) => refused.inc({ code }),
    },
    observe(engine, owner) {
      const gauge = (name: string, help: string, read: () => number): void => exposeGauge(registry, name, help, read)
      gauge('omium_worker_sessions', 'Connected workers', () => engine.sessions)
      gauge('omium_executions_waiting_for_worker', 'Runs that no worker has a slot for', () => engine.waiting)
      gauge('omium_engine_moments', 'Timers, time limits and delays that wait for their time', () => engine.moments)
      gauge(
        'omium_partitions_owned',
        'Partitions of the execution context owned by this process',
        () => owner.partitions.length,
      )
      const live: Gauge<'status'> = new Gauge({
        name: 'omium_executions_live',
        help: 'Executions that are not closed, by status',
        labelNames: ['status'],
        registers,
        collect() {
          live.reset()
          for (const [status, count] of engine.countByStatus()) live.set({ status }, count)
        },
      })
    },
  }
}
