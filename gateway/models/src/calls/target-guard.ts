import { type Breaker, type BreakerState, createBreaker } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import type { Target } from '../registry/registry.ts'
import type { ModelSettings } from '../registry/settings.ts'
import { CallerGone, isUnwell, retryAfterMsOf } from './failures.ts'

/** A call that has begun to answer: `settled` ends with it, and says how. */
export interface Begun<T> {
  readonly value: T
  readonly settled: Promise<void>
}

/** It was not asked: waiting for it within the call is in vain. */
export const isBreakerOpen = ({ data }: OmiumError): boolean =>
  typeof data === 'object' && data !== null && !Array.isArray(data) && data['breaker'] === 'open'

/** a provider that asks for more than this is asked again after it all the same */
const longestCooldownMs = 60_000

/**
 * What stands before one model of one provider: a breaker that fails fast while it is down, and a pause while it wants to be
 * left alone. A stream counts when it ends, so one that breaks off in the middle is a failure as well; only where the breaker
 * waits for the outcome of one call it is enough that an answer begins: others would wait for its end.
 */
export class TargetGuard {
  readonly target: Target
  readonly #name: string
  readonly #nowMs: () => number
  readonly #breaker: Breaker
  #coolUntil = 0

  constructor(target: Target, settings: ModelSettings['breaker'], nowMs: () => number) {
    const { provider, model } = target
    this.target = target
    this.#name = `${provider.name}/${model}`
    this.#nowMs = nowMs
    this.#breaker = createBreaker({
      ...settings,
      target: this.#name,
      isFinal: (error) => error instanceof CallerGone || !isUnwell(error),
      refusal: () =>
        new OmiumError('model_overloaded', `${this.#name} keeps failing and is not asked for the moment`, {
          data: { retryAfterMs: settings.resetMs, breaker: 'open' },
        }),
    })
  }

  get state(): BreakerState {
    return this.#breaker.state
  }

  /** resolves when the call has begun. @throws what the call throws; `model_overloaded`, `model_rate_limited` unasked */
  begin<T>(call: () => Promise<Begun<T>>): Promise<T> {
    const pause = this.#coolUntil - this.#nowMs()
    if (pause > 0)
      throw new OmiumError('model_rate_limited', `${this.#name} wants to be left alone for ${pause} ms more`, {
        data: { retryAfterMs: pause },
      })
    return new Promise<T>((resolve, reject) => {
      const run = async (): Promise<void> => {
        const probing = this.#breaker.state === 'half-open'
        const { value, settled } = await call()
        resolve(value)
        if (probing) settled.catch(() => undefined)
        else await settled
      }
      // after the call has begun this says nothing new: whoever reads the answer hears of the failure there
      this.#breaker.fire(run).catch((error: unknown) => reject(this.#told(error)))
    })
  }

  close(): void {
    this.#breaker.close()
  }

  #told(error: unknown): unknown {
    if (error instanceof OmiumError && error.code === 'model_rate_limited') {
      const wait = retryAfterMsOf(error)
      if (wait) this.#coolUntil = this.#nowMs() + Math.min(longestCooldownMs, wait)
    }
    return error
  }
}
