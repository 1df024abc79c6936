import { type ErrorCode, OmiumError } from '@omium/schemas'

/** What a failed call means for the next one. */

/** The provider fails, for everybody: these open its breaker. */
const unwell: ReadonlySet<ErrorCode> = new Set(['model_overloaded', 'model_malformed'])
/** Another provider or model may do what this one does not. A refused request or content is the caller's to change. */
const elsewhere: ReadonlySet<ErrorCode> = new Set([
  'model_overloaded',
  'model_malformed',
  'model_rate_limited',
  'model_auth',
  'model_context_length',
])

export const isUnwell = (error: unknown): boolean => !(error instanceof OmiumError) || unwell.has(error.code)
export const maySucceedElsewhere = (error: unknown): error is OmiumError =>
  error instanceof OmiumError && elsewhere.has(error.code)

/** How long the provider wants to be left alone, ms. */
export const retryAfterMsOf = (error: OmiumError): number | undefined => {
  const { data } = error
  const wait = typeof data === 'object' && data !== null && !Array.isArray(data) ? data['retryAfterMs'] : undefined
  return typeof wait === 'number' ? wait : undefined
}

/** The caller went away: nobody is told, nothing is counted against the provider. */
export class CallerGone extends Error {
  constructor() {
    super('the caller closed the connection')
    this.name = 'CallerGone'
  }
}
