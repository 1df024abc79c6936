import { OmiumError } from '@omium/schemas'
import { afterEach, describe, expect, it } from 'vitest'
import { createLocalBuckets } from '../limits/buckets.ts'
import { createRegistry } from '../registry/registry.ts'
import { type ModelSettingsInput, parseModelSettings } from '../registry/settings.ts'
import { type Attempt, createDispatcher, type Dispatcher } from './dispatcher.ts'
import { CallerGone } from './failures.ts'

const never = new AbortController().signal
let dispatcher: Dispatcher
afterEach(() => dispatcher.close())

const dispatching = (more: Partial<ModelSettingsInput> = {}) => {
  const settings = parseModelSettings(
    {
      version: 1,
      providers: {
        a: { dialect: 'openai', baseUrl: 'http://a', limits: { concurrency: 1, tokensPerMinute: 100 }, queue: 0 },
        b: { dialect: 'openai', baseUrl: 'http://b' },
      },
      models: {
        both: { targets: [{ provider: 'a' }, { provider: 'b' }] },
        one: { targets: [{ provider: 'a' }], timeouts: { totalMs: 50 } },
        plain: { targets: [{ provider: 'b' }] },
      },
      retries: { max: 2, budgetPercent: 100, firstDelayMs: 1, maxDelayMs: 20 },
      breaker: { minimumCalls: 2, resetMs: 60_000 },
      ...more,
    },
    'the spec',
  )
  const registry = createRegistry(settings, {})
  const nowMs = () => performance.now()
  const tried: string[] = []
  dispatcher = createDispatcher(registry, settings, {
    buckets: createLocalBuckets(nowMs),
    nowMs,
    random: () => 0,
    onTry: ({ provider, code }) => tried.push(`${provider} ${code}`),
  })
  const call = <T>(name: string, attempt: Attempt<T>, signal = never, tokens = 1) =>
    dispatcher.call(registry.route(name, 't'), { tenant: 't', signal, idempotencyKey: undefined, tokens }, attempt)
  return { call, tried }
}

const fine: Attempt<string> = async ({ provider }) => ({ value: provider.name, settled: Promise.resolve() })
const failing =
  (...args: ConstructorParameters<typeof OmiumError>): Attempt<never> =>
  async () => {
    throw new OmiumError(...args)
  }

describe('a call', () => {
  it('goes to the next target after its retries', async () => {
    const { call, tried } = dispatching()
    const attempt: Attempt<string> = (target, options) =>
      target.provider.name === 'a' ? failing('model_overloaded', 'x')(target, options) : fine(target, options)
    expect(await call('both', attempt)).toMatchObject({ value: 'b', tries: 4 })
    // the breaker opened after two: the third try is refused without asking
    expect(tried).toEqual([...Array(3).fill('a model_overloaded'), 'b ok'])
  })

  it.each(['invalid_request', 'model_content_filter'] as const)('ends at once with %s', async (code) => {
    const { call, tried } = dispatching()
    await expect(call('both', failing(code, 'x'))).rejects.toMatchObject({ code })
    expect(tried).toEqual([`a ${code}`])
  })

  it('tells what may work later before what will not', async () => {
    const { call } = dispatching()
    const attempt: Attempt<never> = (target, options) =>
      failing(target.provider.name === 'a' ? 'model_rate_limited' : 'model_auth', 'x', {
        data: { retryAfterMs: 9999 },
      })(target, options)
    await expect(call('both', attempt)).rejects.toMatchObject({
      code: 'model_rate_limited',
      data: { retryAfterMs: 9999, tried: [{ target: 'a/both' }, { target: 'b/both' }] },
    })
  })

  it('is not tried again when retries have used up their share', async () => {
    const { call, tried } = dispatching({ retries: { budgetPercent: 0, firstDelayMs: 1 } })
    await expect(call('plain', failing('model_overloaded', 'x'))).rejects.toMatchObject({ code: 'model_overloaded' })
    expect(tried).toEqual(['b model_overloaded'])
  })

  it('has an end, and the caller may go before it', async () => {
    const { call } = dispatching()
    const hanging: Attempt<never> = (_, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    await expect(call('one', hanging)).rejects.toMatchObject({ code: 'model_overloaded' })
    const gone = new AbortController()
    const left = call('plain', hanging, gone.signal)
    gone.abort(new CallerGone())
    await expect(left).rejects.toThrow(CallerGone)
  })

  it('that breaks off after it began counts against its provider, and is not tried again', async () => {
    const { call, tried } = dispatching()
    const broken: Attempt<string> = async () => ({
      value: 'begun',
      settled: Promise.reject(new OmiumError('model_overloaded', 'cut')),
    })
    for (let i = 0; i < 2; i++) expect((await call('plain', broken)).value).toBe('begun')
    await Promise.resolve()
    expect(tried).toEqual(['b model_overloaded', 'b model_overloaded'])
    expect(dispatcher.states()).toEqual([{ provider: 'b', model: 'plain', state: 'open' }])
  })
})

describe('our own limits', () => {
  it('do not count against the provider', async () => {
    const { call } = dispatching()
    const held = Promise.withResolvers<void>()
    const first = call('one', async () => ({ value: 'x', settled: held.promise }))
    await first
    for (let i = 0; i < 5; i++) await expect(call('one', fine)).rejects.toMatchObject({ code: 'model_overloaded' })
    expect(dispatcher.states()).toEqual([{ provider: 'a', model: 'one', state: 'closed' }])
    held.resolve()
    await expect.poll(() => dispatcher.occupied()[0]?.taken).toBe(0)
    expect((await call('one', fine)).value).toBe('a')
  })

  it('get back what a failed try had taken', async () => {
    const { call } = dispatching()
    for (let i = 0; i < 5; i++)
      await expect(call('one', failing('invalid_request', 'x'), never, 100)).rejects.toMatchObject({
        code: 'invalid_request',
      })
  })
})
