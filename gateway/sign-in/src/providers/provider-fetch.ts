import { OmiumError } from '@omium/schemas'
import type { CustomFetch } from 'openid-client'
import CircuitBreaker from 'opossum'

/** Calls to one identity provider: each within a time limit, behind a breaker that fails fast while the provider is down. */
export interface ProviderFetch {
  readonly fetch: CustomFetch
  close(): void
}

export interface ProviderFetchOptions {
  readonly name: string
  readonly timeoutMs: number
  readonly resetMs: number
  /** how a call is made, when not by `fetch` */
  readonly send?: CustomFetch
}

export const createProviderFetch = ({
  name,
  timeoutMs,
  resetMs,
  send = fetch as CustomFetch,
}: ProviderFetchOptions): ProviderFetch => {
  const call = async (...[url, options]: Parameters<CustomFetch>): Promise<Response> => {
    const limits = [AbortSignal.timeout(timeoutMs), ...(options.signal ? [options.signal] : [])]
    const response = await send(url, { ...options, body: options.body ?? null, signal: AbortSignal.any(limits) })
    if (response.status >= 500) throw new RangeError(`status ${response.status}`)
    return response
  }
  const breaker = new CircuitBreaker(call, {
    // the call has its own limit; opossum's would only stop waiting
    timeout: false,
    errorThresholdPercentage: 50,
    volumeThreshold: 5,
    rollingCountTimeout: 30_000,
    resetTimeout: resetMs,
  })
  return {
    fetch: async (url, options) => {
      try {
        return await breaker.fire(url, options)
      } catch (cause) {
        throw new OmiumError(
          'unavailable',
          `${name} cannot be reached for the moment: try again, or sign in another way`,
          {
            cause,
          },
        )
      }
    },
    close: () => breaker.shutdown(),
  }
}
