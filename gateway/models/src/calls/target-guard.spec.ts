import { OmiumError } from '@omium/schemas'
import { expect, it, vi } from 'vitest'
import { createRegistry } from '../registry/registry.ts'
import { parseModelSettings } from '../registry/settings.ts'
import { TargetGuard } from './target-guard.ts'

it('a breaker closes when an answer begins: nobody waits for the end of the stream that tries it out', async () => {
  const settings = parseModelSettings(
    {
      version: 1,
      providers: { a: { dialect: 'openai', baseUrl: 'http://a' } },
      models: { m: { targets: [{ provider: 'a' }] } },
    },
    'the spec',
  )
  const [target] = createRegistry(settings, {}).route('m', 't').targets
  if (!target) throw new Error('no target')
  const guard = new TargetGuard(target, { ...settings.breaker, minimumCalls: 1, resetMs: 1 }, () => 0)
  try {
    const down = () => Promise.reject(new OmiumError('model_overloaded', 'down'))
    await expect(guard.begin(down)).rejects.toThrow('down')
    await vi.waitUntil(() => guard.state === 'half-open', { timeout: 5_000, interval: 2 })
    const endless = new Promise<void>(() => undefined)
    expect(await guard.begin(async () => ({ value: 'begun', settled: endless }))).toBe('begun')
    const next = () => guard.begin(async () => ({ value: 'next', settled: Promise.resolve() }))
    await vi.waitUntil(() => guard.state === 'closed', { timeout: 5_000, interval: 2 })
    expect(await next()).toBe('next')
  } finally {
    guard.close()
  }
})
