import type { JsonValue } from '@omium/schemas'
import { hashJson, OmiumError } from '@omium/schemas'
import { type AnswerCache, type CacheWish, cacheKeyOf, mayCache } from './cache.ts'
import type { Answered, Attempt, Dispatcher } from './calls/dispatcher.ts'
import type { Exchanges } from './calls/exchange.ts'
import { CallerGone } from './calls/failures.ts'
import type { TenantLimits } from './limits/tenants.ts'
import type { ModelMetrics } from './metrics.ts'
import { costOf, likelyTokens, worstCaseOf } from './prices.ts'
import type { Registry, Route, Target } from './registry/registry.ts'
import { ChunkAssembler, chunksOf } from './wire/assemble.ts'
import type { ChatChunk, ChatCompletion, ChatRequest, Embeddings, EmbeddingsRequest, WireUsage } from './wire/chat.ts'

/**
 * Model calls, whoever answers them.
 *
 * 1. The tenant decides which models there are, what it may spend, and whose cached answers it sees: its own.
 * 2. An answer's `usage.omium_cost_micro_credits` is what the price list says of the model that answered; 0 from the cache,
 *    absent for a model without a price.
 * 3. A stream is an error before its first chunk, or it begins; what fails later is thrown while it is read. Only a whole
 *    answer is cached.
 */
export interface Ask {
  readonly tenant: string
  readonly signal: AbortSignal
  readonly idempotencyKey?: string | undefined
  readonly cache?: CacheWish | undefined
  /** refused when it could cost more, micro-credits */
  readonly maxCostMicroCredits?: number | undefined
}

export type CacheOutcome = 'hit' | 'miss' | 'bypass' | 'none'

export interface Told<T> {
  readonly value: T
  /** who answered; absent for a cached answer */
  readonly target: Target | undefined
  readonly cache: CacheOutcome
  readonly tries: number
}

export interface ModelService {
  complete(request: ChatRequest, ask: Ask): Promise<Told<ChatCompletion>>
  /** the chunks, those together that came together */
  stream(request: ChatRequest, ask: Ask): Promise<Told<AsyncGenerator<readonly ChatChunk[], void>>>
  embed(request: EmbeddingsRequest, ask: Ask): Promise<Told<Embeddings>>
  /** undefined when the model has no price */
  worstCase(request: ChatRequest | EmbeddingsRequest, tenant: string): number | undefined
}

type AnyRequest = ChatRequest | EmbeddingsRequest

export interface ServiceParts {
  readonly registry: Registry
  readonly dispatcher: Dispatcher
  readonly exchanges: Exchanges
  readonly tenants: TenantLimits
  readonly cache: AnswerCache
  readonly metrics: ModelMetrics
  readonly nowMs: () => number
}

const free = (usage: WireUsage | undefined): { usage?: WireUsage } =>
  usage ? { usage: { ...usage, omium_cost_micro_credits: 0 } } : {}

/** A promise with its handles; rejected, it does not end the process when nobody looks. */
const settling = () => {
  const handles = Promise.withResolvers<void>()
  handles.promise.catch(() => undefined)
  return handles
}

export const createModelService = (parts: ServiceParts): ModelService => {
  const { registry, dispatcher, exchanges, tenants, cache, metrics, nowMs } = parts

  const priced = (route: Route, target: Target, model: string, usage: WireUsage): WireUsage => {
    const price = registry.price(route, model) ?? registry.price(route, target.model)
    return price ? { ...usage, omium_cost_micro_credits: costOf(price, usage) } : usage
  }
  /** @returns all tokens */
  const spent = ({ provider, model }: Target, answeredBy: string, usage: WireUsage | undefined): number => {
    if (!usage) return 0
    const { prompt_tokens: input, completion_tokens: output, omium_cost_micro_credits: cost = 0 } = usage
    metrics.spent(provider.name, registry.label(answeredBy, model), input, output, cost)
    return input + output
  }

  const worstCase = (route: Route, request: AnyRequest): number | undefined => {
    const costs = route.targets.flatMap(({ model }) => {
      const price = registry.price(route, model)
      return price ? [worstCaseOf(price, request)] : []
    })
    return costs.length > 0 ? Math.max(...costs) : undefined
  }

  /** @throws OmiumError `budget_exceeded` */
  const refuseTooDear = (route: Route, request: AnyRequest, most: number | undefined): void => {
    const worst = most === undefined ? undefined : worstCase(route, request)
    if (most !== undefined && worst !== undefined && worst > most)
      throw new OmiumError('budget_exceeded', `the call may cost ${worst} micro-credits, ${most} are allowed`)
  }

  /** The cached answer; or how to keep the one that will come. */
  const look = async (kind: string, route: Route, request: AnyRequest, { cache: wish, tenant }: Ask) => {
    if (!wish) return { outcome: 'none' as const, hit: undefined, keep: undefined }
    if (!mayCache(wish, request)) return { outcome: 'bypass' as const, hit: undefined, keep: undefined }
    // an answer belongs to the models that it may come from
    const where = route.targets.map(({ provider, model }) => `${provider.name}/${model}`)
    const key = cacheKeyOf(tenant, `${kind} ${where.join(' ')}`, request)
    const hit: JsonValue | undefined = wish.read ? await cache.get(key) : undefined
    const keep = wish.write ? (answer: unknown) => cache.put(key, answer) : undefined
    return { outcome: hit === undefined ? ('miss' as const) : ('hit' as const), hit, keep }
  }

  /** A call within the tenant's limits, measured. `used` of an answer is known when it has ended. */
  const dispatched = async <T>(
    kind: string,
    route: Route,
    request: AnyRequest,
    ask: Ask,
    outcome: CacheOutcome,
    begin: (attempt: Parameters<Attempt<T>>, ended: (used: number, error?: unknown) => void) => ReturnType<Attempt<T>>,
  ): Promise<Answered<T>> => {
    const startedAt = nowMs()
    const tokens = likelyTokens(request)
    const measure = (provider: string, code: string) =>
      metrics.answered({ kind, provider, cache: outcome, code, ms: nowMs() - startedAt })
    const done = await tenants.admit(ask.tenant, tokens, ask.signal)
    const codeOf = (error: unknown): string => (error instanceof OmiumError ? error.code : 'gone')
    try {
      return await dispatcher.call<T>(
        route,
        {
          ...ask,
          // tenants share the platform's account with a provider: the same key of two of them is not the same key
          idempotencyKey: ask.idempotencyKey === undefined ? undefined : hashJson([ask.tenant, ask.idempotencyKey]),
          tokens,
        },
        (target, options) =>
          begin([target, options], (used, error) => {
            const counted = error === undefined || used > 0 ? used : tokens
            done(counted)
            dispatcher.settle(target.provider, ask.tenant, counted - tokens)
            measure(target.provider.name, error === undefined ? 'ok' : codeOf(error))
          }),
      )
    } catch (error) {
      done(0)
      measure('none', codeOf(error))
      throw error
    }
  }

  return {
    async complete(request, ask) {
      const route = registry.route(request.model, ask.tenant)
      refuseTooDear(route, request, ask.maxCostMicroCredits)
      const { outcome, hit, keep } = await look('chat', route, request, ask)
      if (hit !== undefined) {
        const answer = hit as unknown as ChatCompletion
        return { value: { ...answer, ...free(answer.usage) }, target: undefined, cache: outcome, tries: 0 }
      }
      const { value, target, tries } = await dispatched<ChatCompletion>(
        'chat',
        route,
        request,
        ask,
        outcome,
        async ([to, options], ended) => {
          const answer = await exchanges.complete(to, request, options)
          const usage = answer.usage && priced(route, to, answer.model, answer.usage)
          ended(spent(to, answer.model, usage))
          return { value: { ...answer, ...(usage && { usage }) }, settled: Promise.resolve() }
        },
      )
      keep?.(value)
      return { value, target, cache: outcome, tries }
    },

    async stream(request, ask) {
      const route = registry.route(request.model, ask.tenant)
      refuseTooDear(route, request, ask.maxCostMicroCredits)
      const { outcome, hit, keep } = await look('chat', route, request, ask)
      if (hit !== undefined) {
        const answer = hit as unknown as ChatCompletion
        const chunks = chunksOf({ ...answer, ...free(answer.usage) })
        const value = (async function* () {
          yield chunks
        })()
        return { value, target: undefined, cache: outcome, tries: 0 }
      }
      // of several answers that come at once only the first could be put together
      const whole = keep && (request.n ?? 1) === 1 ? new ChunkAssembler() : undefined
      const { value, target, tries } = await dispatched<AsyncGenerator<readonly ChatChunk[], void>>(
        'stream',
        route,
        request,
        ask,
        outcome,
        async ([to, options], ended) => {
          const chunks = await exchanges.stream(to, request, options)
          const { promise: settled, resolve, reject } = settling()
          const read = async function* (): AsyncGenerator<readonly ChatChunk[], void> {
            let last: WireUsage | undefined
            let answeredBy = to.model
            let failure: unknown = new CallerGone()
            try {
              for await (const batch of chunks)
                yield batch.map((chunk) => {
                  const usage = chunk.usage && priced(route, to, chunk.model, chunk.usage)
                  // some tell it with every chunk: the last one is the sum
                  if (usage) {
                    last = usage
                    answeredBy = chunk.model
                  }
                  const told = usage ? { ...chunk, usage } : chunk
                  whole?.add(told)
                  return told
                })
              failure = undefined
            } catch (error) {
              failure = error
              throw error
            } finally {
              ended(spent(to, answeredBy, last), failure)
              if (failure === undefined) {
                if (whole) keep?.(whole.completion())
                resolve()
              } else reject(failure)
            }
          }
          return { value: read(), settled }
        },
      )
      return { value, target, cache: outcome, tries }
    },

    async embed(request, ask) {
      const route = registry.route(request.model, ask.tenant)
      refuseTooDear(route, request, ask.maxCostMicroCredits)
      const { outcome, hit, keep } = await look('embeddings', route, request, ask)
      if (hit !== undefined) {
        const answer = hit as unknown as Embeddings
        return {
          value: { ...answer, usage: { ...answer.usage, omium_cost_micro_credits: 0 } },
          target: undefined,
          cache: outcome,
          tries: 0,
        }
      }
      const { value, target, tries } = await dispatched<Embeddings>(
        'embeddings',
        route,
        request,
        ask,
        outcome,
        async ([to, options], ended) => {
          const answer = await exchanges.embed(to, request, options)
          const usage = priced(route, to, answer.model, answer.usage)
          ended(spent(to, answer.model, usage))
          return { value: { ...answer, usage }, settled: Promise.resolve() }
        },
      )
      keep?.(value)
      return { value, target, cache: outcome, tries }
    },

    worstCase: (request, tenant) => worstCase(registry.route(request.model, tenant), request),
  }
}
