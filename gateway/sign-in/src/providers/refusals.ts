import { OmiumError } from '@omium/schemas'
import { AuthorizationResponseError, ResponseBodyError } from 'openid-client'

/** What went wrong at a provider, as it is told: nothing that a forger could use, and nothing that the provider wrote freely. */
export const asRefusal = (label: string, error: unknown): OmiumError => {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof OmiumError) return cause
  }
  const told = error instanceof AuthorizationResponseError || error instanceof ResponseBodyError ? error.error : ''
  const why = /^[a-z_]{1,60}$/.test(told) ? `it said ${told}` : 'its answer does not hold'
  return new OmiumError('sign_in_refused', `${label} did not sign you in: ${why}. Begin again`, { cause: error })
}
