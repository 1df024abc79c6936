import { createOutsideCalls } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import type { CustomFetch } from 'openid-client'

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
  const calls = createOutsideCalls({
    // one name for all: tenants bring providers of their own
    target: 'identity provider',
    timeoutMs,
    windowMs: 30_000,
    resetMs,
  })
  return {
    fetch: async (url, options) => {
      try {
        return await calls.call(async (limit) => {
          const signal = options.signal ? AbortSignal.any([limit, options.signal]) : limit
          const response = await send(url, { ...options, body: options.body ?? null, signal })
          if (response.status >= 500) throw new RangeError(`status ${response.status}`)
          return response
        })
      } catch (cause) {
        throw new OmiumError(
          'unavailable',
          `${name} cannot be reached for the moment: try again, or sign in another way`,
          { cause },
        )
      }
    },
    close: () => calls.close(),
  }
}
