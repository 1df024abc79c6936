import { createOutsideCalls } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import type { CustomFetch } from 'openid-client'

/**
 * Calls to one identity provider: each within a time limit, behind a breaker of its own that fails fast while the provider is
 * down. What is only read is asked for a second time; a code, which is good once, is not.
 */
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
    tries: 2,
    windowMs: 30_000,
    resetMs,
    isFinal: isRefusedAddress,
  })
  return {
    fetch: async (url, options) => {
      try {
        return await calls.call(
          async (limit) => {
            const signal = options.signal ? AbortSignal.any([limit, options.signal]) : limit
            const response = await send(url, { ...options, body: options.body ?? null, signal })
            if (response.status >= 500) throw new RangeError(`status ${response.status}`)
            return response
          },
          options.method === 'GET' ? undefined : 'once',
        )
      } catch (cause) {
        if (isRefusedAddress(cause)) throw cause
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

/** the provider is where nobody may be called: that it is so says nothing about how it is */
const isRefusedAddress = (error: unknown): boolean => error instanceof OmiumError && error.code === 'address_refused'
