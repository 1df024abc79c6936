import type { JsonValue } from '@omium/schemas'
import { afterEach, describe, expect, it } from 'vitest'
import { createDispatcher, type Dispatcher } from './calls/dispatcher.ts'
import type { Exchanges } from './calls/exchange.ts'
import { createLocalBuckets } from './limits/buckets.ts'
import { createTenantLimits } from './limits/tenants.ts'
import { createModelMetrics } from './metrics.ts'
import { createRegistry } from './registry/registry.ts'
import { parseModelSettings } from './registry/settings.ts'
import { createModelService } from './service.ts'
import { type ChatChunk, chatRequest } from './wire/chat.ts'

let dispatcher: Dispatcher
afterEach(() => dispatcher.close())

const chunk = (index: number, content: string, finish: string | null): ChatChunk => ({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 0,
  model: 'm',
  choices: [{ index, delta: { content }, finish_reason: finish }],
})

/** the service before a provider that answers everything, and what it was sent */
const serving = () => {
  const settings = parseModelSettings(
    {
      version: 1,
      providers: { a: { dialect: 'openai', baseUrl: 'http://a' } },
      models: { m: { targets: [{ provider: 'a' }] } },
    },
    'the spec',
  )
  const registry = createRegistry(settings, {})
  const buckets = createLocalBuckets(() => 0)
  dispatcher = createDispatcher(registry, settings, {
    buckets,
    nowMs: () => 0,
    random: () => 0,
    onTry: () => undefined,
  })
  const keys: (string | undefined)[] = []
  const kept: JsonValue[] = []
  const exchanges: Exchanges = {
    complete: async (_target, _request, { idempotencyKey }) => {
      keys.push(idempotencyKey)
      return { id: 'c', object: 'chat.completion', created: 0, model: 'm', choices: [] }
    },
    stream: async () =>
      (async function* () {
        yield [chunk(0, 'one', null), chunk(1, 'two', null)]
        yield [chunk(0, '', 'stop'), chunk(1, '', 'stop')]
      })(),
    embed: async () => {
      throw new Error('not asked')
    },
  }
  const service = createModelService({
    registry,
    dispatcher,
    exchanges,
    tenants: createTenantLimits(settings.limits, buckets),
    cache: { get: async () => undefined, put: (_key, answer) => kept.push(answer as JsonValue) },
    metrics: createModelMetrics(),
    nowMs: () => 0,
  })
  return { service, keys, kept }
}
const asked = (more: object = {}) =>
  chatRequest.parse({ model: 'm', messages: [{ role: 'user', content: 'x' }], ...more })
const { signal } = new AbortController()

describe('the model service', () => {
  it('has other idempotency keys for each tenant, since they share an account with the provider', async () => {
    const { service, keys } = serving()
    for (const tenant of ['a', 'b', 'a']) await service.complete(asked(), { tenant, signal, idempotencyKey: 'k' })
    const [ofA, ofB, again] = keys
    expect([ofA === ofB, ofA === again, ofA === undefined]).toEqual([false, true, false])
  })

  it('never caches a stream of several answers as one', async () => {
    const { service, kept } = serving()
    const cache = { read: true, write: true, force: true }
    const read = async (more: object) => {
      const { value } = await service.stream(asked(more), { tenant: 'a', signal, cache })
      for await (const _ of value);
    }
    await read({ n: 2 })
    expect(kept).toEqual([])
  })

  it.each(['..', 'a/..', './b', '\ud800'])('is not asked for a model whose name reaches elsewhere: %j', (model) => {
    expect(chatRequest.safeParse({ ...asked(), model }).success).toBe(false)
  })
})
