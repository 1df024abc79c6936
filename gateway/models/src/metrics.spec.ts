import { expect, it } from 'vitest'
import type { Dispatcher } from './calls/dispatcher.ts'
import { createModelMetrics } from './metrics.ts'

it('have one line for all models that only callers have names for, and it tells the worst of them', async () => {
  const metrics = createModelMetrics()
  const states = Array.from({ length: 1_000 }, (_, i) => ({
    provider: 'a',
    model: `made-up-${i}`,
    state: i === 500 ? ('open' as const) : ('closed' as const),
  }))
  const known = { provider: 'a', model: 'gpt-4o', state: 'half-open' as const }
  const dispatcher = { states: () => [...states, known], occupied: () => [] } as unknown as Dispatcher
  metrics.watch(dispatcher, (model) => (model === 'gpt-4o' ? model : 'other'))
  const lines = (await metrics.registry.metrics()).split('\n')
  expect(lines.filter((line) => line.startsWith('omium_models_breaker_state{'))).toEqual([
    'omium_models_breaker_state{provider="a",model="other"} 2',
    'omium_models_breaker_state{provider="a",model="gpt-4o"} 1',
  ])
})
