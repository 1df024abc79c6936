import { setTimeout as delay } from 'node:timers/promises'
import { type BreakerState, createRetryBudget, type RetryBudget } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import type { Buckets, Spending } from '../limits/buckets.ts'
import { Slots } from '../limits/slots.ts'
import type { Provider, Registry, Route, Target } from '../registry/registry.ts'
import type { ModelSettings } from '../registry/settings.ts'
import { CallerGone, maySucceedElsewhere, retryAfterMsOf } from './failures.ts'
import { type Begun, isBreakerOpen, TargetGuard } from './target-guard.ts'
import type { SendOptions } from './transport.ts'

/**
 * Brings a call to a provider that answers it.
 *
 * 1. Targets are asked in their order; one is left for the next when it has failed as often as retries are allowed, or
 *    wants to be left alone for longer than it is worth to wait. What no other target could do better ends the call.
 * 2. Retries of a provider are a bounded share of its calls. Nothing is tried again once an answer has begun.
 * 3. A provider's rate and concurrency limits hold for each try. Tenants share its rate, its slots and its queue fairly.
 * 4. The whole time is bounded, waiting and answering included.
 */
export interface CallContext {
  readonly tenant: string
  /** aborts when the caller goes away */
  readonly signal: AbortSignal
  readonly idempotencyKey: string | undefined
  /** tokens to reckon with until the answer says how many there were */
  readonly tokens: number
}

export interface Answered<T> {
  readonly value: T
  readonly target: Target
  /** tries in all, 1 when the first one went well */
  readonly tries: number
}

export type Attempt<T> = (target: Target, options: SendOptions) => Promise<Begun<T>>

export interface Dispatcher {
  /** @throws OmiumError `model_*`, `invalid_request`; CallerGone */
  call<T>(route: Route, context: CallContext, attempt: Attempt<T>): Promise<Answered<T>>
  /** what an answer really took, against what was reckoned */
  settle(provider: Provider, tenant: string, tokens: number): void
  states(): { readonly provider: string; readonly model: string; readonly state: BreakerState }[]
  occupied(): { readonly provider: string; readonly taken: number; readonly waiting: number }[]
  close(): void
}

export interface Observed {
  readonly provider: string
  readonly model: string
  readonly code: string
  readonly ms: number
}

const targetKey = ({ provider, model }: Target): string => `${provider.name}/${model}`
/** with another target at hand, a longer wait is not worth it */
const worthWaitingMs = 1_000

const spendingsOf = (provider: Provider, who: string, tokens: number): Spending[] => {
  const { name, settings } = provider
  const perMinute = settings.limits?.requestsPerMinute
  return [
    ...(perMinute ? [{ key: `provider:${name}:requests`, perMinute, amount: 1, who }] : []),
    ...tokenSpendings(provider, who, tokens),
  ]
}
const tokenSpendings = ({ name, settings: { limits } }: Provider, who: string, amount: number): Spending[] =>
  limits?.tokensPerMinute ? [{ key: `provider:${name}:tokens`, perMinute: limits.tokensPerMinute, amount, who }] : []

export const createDispatcher = (
  registry: Registry,
  settings: ModelSettings,
  {
    buckets,
    nowMs,
    random,
    onTry,
  }: { buckets: Buckets; nowMs: () => number; random: () => number; onTry: (observed: Observed) => void },
): Dispatcher => {
  const { retries } = settings
  const guards = new Map<string, TargetGuard>()
  const budgets = new Map<string, RetryBudget>()
  const { budgetPercent } = retries
  const slots = new Map<string, Slots>()
  for (const [name, { settings: provider }] of registry.providers) {
    budgets.set(name, createRetryBudget(budgetPercent / 100, budgetPercent === 0 ? 0 : 10))
    const most = provider.limits?.concurrency
    if (most) slots.set(name, new Slots(name, most, provider.queue, 'model_overloaded'))
  }
  /** names of models come from callers, so that there may be many: the oldest go */
  const mostGuards = 1_000
  const guardOf = (target: Target): TargetGuard => {
    const key = targetKey(target)
    let guard = guards.get(key)
    if (!guard) {
      guard = new TargetGuard(target, settings.breaker, nowMs)
      guards.set(key, guard)
      const [oldest] = guards
      if (guards.size > mostGuards && oldest) {
        oldest[1].close()
        guards.delete(oldest[0])
      }
    }
    return guard
  }

  const once = async <T>(
    target: Target,
    options: SendOptions,
    { tenant, tokens }: CallContext,
    attempt: Attempt<T>,
  ): Promise<T> => {
    const { provider } = target
    const begunAt = nowMs()
    const observe = (code: string) =>
      onTry({ provider: provider.name, model: target.model, code, ms: nowMs() - begunAt })
    const observeFailure = (error: unknown) => observe(error instanceof OmiumError ? error.code : 'gone')
    // our own limits stand before the guard: that they are reached says nothing about the provider
    const release = await slots.get(provider.name)?.take(tenant, options.signal)
    try {
      const wait = await buckets.take(spendingsOf(provider, tenant, tokens))
      if (wait > 0)
        throw new OmiumError('model_rate_limited', `the rate that is allowed for ${provider.name} is used up`, {
          data: { retryAfterMs: wait },
        })
      try {
        return await guardOf(target).begin(async () => {
          options.signal.throwIfAborted()
          const { value, settled } = await attempt(target, options)
          const ended = settled.then(
            () => observe('ok'),
            (error: unknown) => {
              observeFailure(error)
              throw error
            },
          )
          return { value, settled: ended.finally(release) }
        })
      } catch (error) {
        buckets.settle(tokenSpendings(provider, tenant, -tokens))
        throw error
      }
    } catch (error) {
      release?.()
      observeFailure(error)
      throw error
    }
  }

  const backoff = (tried: number): number => {
    const longest = Math.min(retries.maxDelayMs, retries.firstDelayMs * 2 ** (tried - 1))
    return longest * (0.5 + random() / 2)
  }

  return {
    async call(route, context, attempt) {
      const { signal, idempotencyKey } = context
      const { timeouts, maxAnswerBytes } = route.settings
      const late = new AbortController()
      const timer = setTimeout(
        () =>
          late.abort(
            new OmiumError('model_overloaded', `no whole answer of ${route.name} within ${timeouts.totalMs} ms`),
          ),
        timeouts.totalMs,
      )
      const stopTimer = (): void => clearTimeout(timer)
      const timed: typeof attempt = async (target, sendOptions) => {
        const begun = await attempt(target, sendOptions)
        begun.settled.then(stopTimer, stopTimer)
        return begun
      }
      const options = { timeouts, maxAnswerBytes, idempotencyKey, signal: AbortSignal.any([signal, late.signal]) }
      const tried: { target: string; code: string }[] = []
      let worst: OmiumError | undefined

      const oneTarget = async <T>(target: Target, more: boolean, run: Attempt<T>): Promise<Answered<T> | undefined> => {
        const budget = budgets.get(target.provider.name)
        for (let attemptNumber = 1; ; attemptNumber++) {
          try {
            if (attemptNumber === 1) budget?.deposit()
            const value = await once(target, options, context, run)
            return { value, target, tries: tried.length + 1 }
          } catch (error) {
            if (signal.aborted) throw new CallerGone()
            if (!maySucceedElsewhere(error) || late.signal.aborted) throw error
            tried.push({ target: targetKey(target), code: error.code })
            // what may work later is told before what won't
            if (!worst || (error.retryable && !worst.retryable)) worst = error
            const wait = isBreakerOpen(error)
              ? Number.POSITIVE_INFINITY
              : (retryAfterMsOf(error) ?? backoff(attemptNumber))
            const worth = wait <= (more ? Math.min(worthWaitingMs, retries.maxDelayMs) : retries.maxDelayMs)
            if (!error.retryable || attemptNumber > retries.max || !worth || !budget?.withdraw()) return undefined
            await delay(wait, undefined, { signal: options.signal }).catch(() => {
              throw signal.aborted ? new CallerGone() : late.signal.reason
            })
          }
        }
      }

      try {
        for (const [index, target] of route.targets.entries()) {
          const answered = await oneTarget(target, index + 1 < route.targets.length, timed)
          if (answered) return answered
        }
      } catch (error) {
        stopTimer()
        throw error
      }
      stopTimer()
      const last = worst ?? new OmiumError('internal', `${route.name} has no provider`)
      const wait = retryAfterMsOf(last)
      throw new OmiumError(last.code, last.message, {
        cause: last,
        data: { ...(wait !== undefined && { retryAfterMs: wait }), tried: tried.slice(0, 20) },
      })
    },
    settle: (provider, tenant, tokens) => buckets.settle(tokenSpendings(provider, tenant, tokens)),
    states: () =>
      [...guards.values()].map(({ target, state }) => ({ provider: target.provider.name, model: target.model, state })),
    occupied: () => [...slots].map(([provider, { taken, waiting }]) => ({ provider, taken, waiting })),
    close: () => {
      for (const guard of guards.values()) guard.close()
    },
  }
}
