import {
  Counter,
  createMetrics,
  exposeGauge,
  Gauge,
  Histogram,
  type Registry,
  type RunningCapability,
} from '@omium/kit'
import type { WebhookMeasures } from './ports.ts'
import type { CountingSender } from './sender.ts'

export interface WebhookMetrics {
  readonly registry: Registry
  readonly measures: WebhookMeasures
  /** from now on gauges show these */
  observe(webhooks: { readonly pending: number }, sender: CountingSender, running: RunningCapability): void
}

export const createWebhookMetrics = (): WebhookMetrics => {
  const registry = createMetrics()
  const registers = [registry]
  const attempts = new Counter({
    name: 'omium_webhook_attempts_total',
    help: 'Attempts to deliver, by what came of them',
    labelNames: ['result'],
    registers,
  })
  const seconds = new Histogram({
    name: 'omium_webhook_attempt_seconds',
    help: 'How long receivers took',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15],
    registers,
  })
  return {
    registry,
    measures: {
      attempted(result, tookMs) {
        attempts.inc({ result })
        seconds.observe(tookMs / 1000)
      },
    },
    observe(webhooks, sender, { owner, followers }) {
      exposeGauge(registry, 'omium_webhooks_pending', 'Messages that wait to be delivered', () => webhooks.pending)
      exposeGauge(registry, 'omium_runs_followed', 'Runs and incidents that have not ended', () => followers.size)
      const owned = 'Partitions of the webhook context owned by this process'
      exposeGauge(registry, 'omium_partitions_owned', owned, () => owner.partitions.length)
      new Gauge({
        name: 'omium_webhook_breakers',
        help: 'Hosts of receivers, by the state of their breakers',
        labelNames: ['state'],
        registers,
        collect() {
          for (const [state, count] of Object.entries(sender.breakers())) this.set({ state }, count)
        },
      })
    },
  }
}
