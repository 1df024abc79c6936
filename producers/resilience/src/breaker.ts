import { OmiumError } from '@omium/schemas'
import CircuitBreaker from 'opossum'

export type BreakerState = 'closed' | 'half-open' | 'open'

export interface BreakerOptions {
  /** what is called, as errors name it */
  readonly target: string
  /** share of failures among the calls of a window that opens it, in percent; default 50 */
  readonly errorPercent?: number
  /** fewer calls than this in a window never open it; default 5 */
  readonly minimumCalls?: number
  /** default 10 s */
  readonly windowMs?: number
  /** how long it stays open before one call may try; default 2 s */
  readonly resetMs?: number
  /** an answer that does not count against the other side; it is thrown all the same */
  readonly isFinal?: (error: unknown) => boolean
  /** what is thrown while it is open; default `unavailable` */
  readonly refusal?: () => OmiumError
}

/** Fails fast while what is called is down. */
export interface Breaker {
  readonly state: BreakerState
  /** @throws what `run` throws; what `refusal` says while it is open */
  fire<T>(run: () => Promise<T>): Promise<T>
  close(): void
}

export const createBreaker = (options: BreakerOptions): Breaker => {
  const { target, isFinal } = options
  const circuit = new CircuitBreaker((run: () => Promise<unknown>) => run(), {
    // calls have limits of their own, which end them; opossum's would only stop waiting
    timeout: false,
    errorThresholdPercentage: options.errorPercent ?? 50,
    volumeThreshold: options.minimumCalls ?? 5,
    rollingCountTimeout: options.windowMs ?? 10_000,
    resetTimeout: options.resetMs ?? 2_000,
    ...(isFinal && { errorFilter: isFinal }),
  })
  const refusal =
    options.refusal ?? (() => new OmiumError('unavailable', `${target} keeps failing and is not asked for the moment`))
  return {
    get state() {
      if (circuit.opened) return 'open'
      return circuit.halfOpen ? 'half-open' : 'closed'
    },
    fire: async <T>(run: () => Promise<T>): Promise<T> => {
      try {
        return (await circuit.fire(run)) as T
      } catch (error) {
        throw (error as { code?: string }).code === 'EOPENBREAKER' ? refusal() : error
      }
    },
    close: () => circuit.shutdown(),
  }
}
