import { Counter, createMetrics, Gauge, Histogram, type Registry } from '@omium/kit'
import type { Measures } from './ports.ts'

export interface ManagerMetrics {
  readonly registry: Registry
  readonly measures: Measures
  observe(manager: { count(): Readonly<Record<'workflows' | 'schedules' | 'triggers' | 'runs', number>> }): void
}

export const createManagerMetrics = (): ManagerMetrics => {
  const registry = createMetrics()
  const registers = [registry]
  const fired = new Counter({
    name: 'omium_workflow_fired_total',
    help: 'Moments of schedules and events of triggers that started a run',
    labelNames: ['kind'],
    registers,
  })
  const latency = new Histogram({
    name: 'omium_schedule_latency_seconds',
    help: 'From the nominal moment of a schedule to its firing, those that were on time',
    buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
    registers,
  })
  const started = new Counter({
    name: 'omium_workflow_runs_started_total',
    help: 'Runs whose start was put on the log of executions',
    registers,
  })
  return {
    registry,
    measures: {
      fired: (kind) => fired.inc({ kind }),
      fireLatency: (ms) => latency.observe(ms / 1000),
      started: () => started.inc(),
    },
    observe(manager) {
      const gauge: Gauge<'what'> = new Gauge({
        name: 'omium_workflow_aggregates',
        help: 'Workflows, schedules, triggers and open runs of the partitions owned by this process',
        labelNames: ['what'],
        registers,
        collect() {
          for (const [what, count] of Object.entries(manager.count())) gauge.set({ what }, count)
        },
      })
    },
  }
}
