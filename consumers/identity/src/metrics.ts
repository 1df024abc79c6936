import { createMetrics, Gauge, type Registry } from '@omium/kit'
import type { Identity } from './identity.ts'

export const createIdentityMetrics = (): { registry: Registry; observe(identity: Identity): void } => {
  const registry = createMetrics()
  return {
    registry,
    observe(identity) {
      const gauge: Gauge<'what'> = new Gauge({
        name: 'omium_identity_aggregates',
        help: 'Users, open sessions, tenants and API keys of the partitions owned by this process',
        labelNames: ['what'],
        registers: [registry],
        collect() {
          for (const [what, count] of Object.entries(identity.count())) gauge.set({ what }, count)
        },
      })
    },
  }
}
