import { Counter, createMetrics, Gauge, Histogram, measureRequests, type Registry } from '@omium/kit'
import type { Dispatcher, Observed } from './calls/dispatcher.ts'

export interface ModelMetrics {
  readonly registry: Registry
  requested(method: string, route: string | undefined, status: number, durationMs: number): void
  tried(observed: Observed): void
  answered(outcome: { kind: string; provider: string; cache: string; code: string; ms: number }): void
  spent(provider: string, model: string, inputTokens: number, outputTokens: number, costMicroCredits: number): void
  watch(dispatcher: Dispatcher, label: (model: string) => string): void
}

const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]
const stateNumbers = { closed: 0, 'half-open': 1, open: 2 }

/** Labels are bounded: of models those names that `Registry.label` gives, of targets with one label the worst state. */
export const createModelMetrics = (): ModelMetrics => {
  const registry = createMetrics()
  const registers = [registry]
  const tries = new Histogram({
    name: 'omium_models_try_seconds',
    help: 'Requests to providers until their answer ended, by outcome',
    labelNames: ['provider', 'code'],
    buckets,
    registers,
  })
  const calls = new Histogram({
    name: 'omium_models_call_seconds',
    help: 'Calls as their callers saw them, retries, fallbacks and cache included',
    labelNames: ['kind', 'provider', 'cache', 'code'],
    buckets,
    registers,
  })
  const tokens = new Counter({
    name: 'omium_models_tokens_total',
    help: 'Tokens that providers counted',
    labelNames: ['provider', 'model', 'direction'],
    registers,
  })
  const cost = new Counter({
    name: 'omium_models_cost_micro_credits_total',
    help: 'Cost of answers by the price list',
    labelNames: ['provider', 'model'],
    registers,
  })
  return {
    registry,
    requested: measureRequests(registry, 'omium_models_request_seconds'),
    tried: ({ provider, code, ms }) => tries.observe({ provider, code }, ms / 1000),
    answered: ({ ms, ...labels }) => calls.observe(labels, ms / 1000),
    spent(provider, model, inputTokens, outputTokens, costMicroCredits) {
      tokens.inc({ provider, model, direction: 'input' }, inputTokens)
      tokens.inc({ provider, model, direction: 'output' }, outputTokens)
      cost.inc({ provider, model }, costMicroCredits)
    },
    watch(dispatcher, label) {
      new Gauge({
        name: 'omium_models_breaker_state',
        help: '0 closed, 1 half open, 2 open; of several models under one name the worst',
        labelNames: ['provider', 'model'],
        registers,
        collect() {
          this.reset()
          const worst = new Map<string, { provider: string; model: string; state: number }>()
          for (const { provider, model: name, state } of dispatcher.states()) {
            const model = label(name)
            const key = `${provider}/${model}`
            const number = Math.max(stateNumbers[state], worst.get(key)?.state ?? 0)
            worst.set(key, { provider, model, state: number })
          }
          for (const { provider, model, state } of worst.values()) this.set({ provider, model }, state)
        },
      })
      new Gauge({
        name: 'omium_models_slots',
        help: 'Calls that hold or await a slot of a provider',
        labelNames: ['provider', 'is'],
        registers,
        collect() {
          for (const { provider, taken, waiting } of dispatcher.occupied()) {
            this.set({ provider, is: 'taken' }, taken)
            this.set({ provider, is: 'waiting' }, waiting)
          }
        },
      })
    },
  }
}
