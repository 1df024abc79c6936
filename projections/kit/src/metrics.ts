import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client'

/** What a projection counts. One registry for each, so that specs don't share state. */
export const createProjectionMetrics = (projection: string) => {
  const registry = new Registry()
  registry.setDefaultLabels({ projection })
  const registers = [registry]
  return {
    registry,
    applied: new Counter({ name: 'omium_projection_events_total', help: 'Events applied', registers }),
    rejected: new Counter({
      name: 'omium_projection_rejected_records_total',
      help: 'Records that the shared fold refuses, by reason: zombies, duplicates',
      labelNames: ['reason'],
      registers,
    }),
    deadLetters: new Counter({
      name: 'omium_projection_dead_letters_total',
      help: 'Records that could not be decoded or applied',
      registers,
    }),
    lag: new Gauge({
      name: 'omium_projection_lag_records',
      help: 'Records between what is applied and the end of the partition as last seen',
      labelNames: ['partition'],
      registers,
    }),
    restarts: new Counter({
      name: 'omium_projection_restarts_total',
      help: 'Times that reading started anew after an error or a change of partitions',
      registers,
    }),
    batch: new Histogram({
      name: 'omium_projection_transaction_seconds',
      help: 'Duration of a transaction',
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
  }
}
export type ProjectionMetrics = ReturnType<typeof createProjectionMetrics>

/** One text for a process: its own metrics, and those of its projections, which differ by the label `projection`. */
export const mergeMetrics = (
  own: Registry,
  registries: readonly Registry[],
): Pick<Registry, 'metrics' | 'contentType'> => {
  const counted = async (): Promise<string> => {
    const all = await Promise.all(registries.map((registry) => registry.getMetricsAsJSON()))
    return AggregatorRegistry.aggregate(all as object[][]).metrics()
  }
  return {
    contentType: own.contentType,
    metrics: async () => `${await own.metrics()}\n${await counted()}`,
  }
}
