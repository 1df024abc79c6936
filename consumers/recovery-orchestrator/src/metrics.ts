import {
  Counter,
  createMetrics,
  exposeGauge,
  Gauge,
  Histogram,
  type Registry,
  type RunningCapability,
} from '@omium/kit'
import type { IncidentStatus } from '@omium/schemas'
import type { RecoveryMeasures } from './ports.ts'

/** What the gauges look at when they are scraped. */
export interface OrchestratorView {
  countByStatus(): ReadonlyMap<IncidentStatus, number>
}

export interface RecoveryMetrics {
  readonly registry: Registry
  readonly measures: RecoveryMeasures
  /** from now on gauges show this orchestrator */
  observe(view: OrchestratorView, running: RunningCapability): void
}

export const createRecoveryMetrics = (): RecoveryMetrics => {
  const registry = createMetrics()
  const registers = [registry]
  const labelNames = ['class', 'strategy'] as const
  const planned = new Counter({ name: 'omium_recoveries_planned_total', help: 'Plans made', labelNames, registers })
  const failed = new Counter({
    name: 'omium_recoveries_failed_total',
    help: 'Plans that did not help',
    labelNames,
    registers,
  })
  const recovered = new Histogram({
    name: 'omium_recovery_seconds',
    help: 'From a failure to the moment when its run got past it',
    labelNames,
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86_400],
    registers,
  })
  const decided = new Histogram({
    name: 'omium_recovery_decision_seconds',
    help: 'From a failure to the decision about it',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
    registers,
  })
  const escalated = new Counter({ name: 'omium_recoveries_escalated_total', help: 'Questions to people', registers })
  const givenUp = new Counter({ name: 'omium_recoveries_given_up_total', help: 'Incidents given up', registers })
  return {
    registry,
    measures: {
      planned: (failureClass, strategy) => planned.inc({ class: failureClass, strategy }),
      failed: (failureClass, strategy) => failed.inc({ class: failureClass, strategy }),
      recovered: (failureClass, strategy, ms) => recovered.observe({ class: failureClass, strategy }, ms / 1000),
      decidedIn: (ms) => decided.observe(Math.max(0, ms) / 1000),
      escalated: () => escalated.inc(),
      givenUp: () => givenUp.inc(),
    },
    observe(view, { owner, followers }) {
      const followed = 'Runs that ask for recovery and have not ended'
      exposeGauge(registry, 'omium_runs_followed', followed, () => followers.size)
      const owned = 'Partitions of the recovery context owned by this process'
      exposeGauge(registry, 'omium_partitions_owned', owned, () => owner.partitions.length)
      const open: Gauge<'status'> = new Gauge({
        name: 'omium_incidents_open',
        help: 'Incidents that are not closed, by status',
        labelNames: ['status'],
        registers,
        collect() {
          open.reset()
          for (const [status, count] of view.countByStatus()) open.set({ status }, count)
        },
      })
    },
  }
}
