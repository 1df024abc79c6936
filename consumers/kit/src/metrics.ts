import { breakerCounts, breakerStates } from '@omium/resilience'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, Registry }

/** A registry with what Node says about the process, and the breakers before what it calls outside. */
export const createMetrics = (): Registry => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'omium_breaker_state',
    help: 'Of what is called outside of the process: 0 closed, 1 half open, 2 open',
    labelNames: ['target'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [target, state] of breakerStates()) this.set({ target }, state)
    },
  })
  new Gauge({
    name: 'omium_breakers',
    help: 'How many breakers there are before what is called outside of the process, by their state',
    labelNames: ['target', 'state'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [target, counts] of breakerCounts())
        for (const [state, count] of Object.entries(counts)) this.set({ target, state }, count)
    },
  })
  return registry
}

const requestBuckets = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]

/**
 * Rate, errors and duration of each route of an HTTP server, as a histogram with the labels `method`, `route` and `status`.
 * @returns notes one request; `route` is the pattern, undefined for what no route takes: so labels stay few
 */
export const measureRequests = (registry: Registry, name: string) => {
  const histogram = new Histogram({
    name,
    help: 'Duration of requests, by route',
    labelNames: ['method', 'route', 'status'],
    buckets: requestBuckets,
    registers: [registry],
  })
  return (method: string, route: string | undefined, status: number, durationMs: number): void =>
    histogram.observe({ method, route: route ?? 'unknown', status }, durationMs / 1000)
}

/**
 * The log core's counters as one metric, `omium_log_total{counter="rejected.stale_epoch"}`. Read when scraped.
 * @param counters grow only, except when a name appears
 */
export const exposeCounters = (registry: Registry, counters: () => Readonly<Record<string, number>>): void => {
  const gauge = new Gauge({
    name: 'omium_log_total',
    help: 'What the log core counted since the start, by counter',
    labelNames: ['counter'],
    registers: [registry],
    collect() {
      for (const [counter, value] of Object.entries(counters())) gauge.set({ counter }, value)
    },
  })
}

/** A gauge that is read when it is scraped. */
export const exposeGauge = (registry: Registry, name: string, help: string, read: () => number): void => {
  const gauge: Gauge = new Gauge({ name, help, registers: [registry], collect: () => gauge.set(read()) })
}
