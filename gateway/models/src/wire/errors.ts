import { type ErrorCode, errorCatalogue, OmiumError } from '@omium/schemas'
import { retryAfterMsOf } from '../calls/failures.ts'

/**
 * Errors in OpenAI's shape, with our code in `error.code`: our SDKs classify by it without guessing, other clients find the
 * status and the words that they know. The one place where errors of this service become HTTP.
 */
export interface ErrorBody {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: null
    readonly code: ErrorCode
    readonly retryable: boolean
    readonly request_id?: string
  }
}

/** Where OpenAI's clients expect another status than our catalogue has. */
const statuses: Partial<Record<ErrorCode, number>> = {
  invalid_request: 400,
  model_context_length: 400,
  model_content_filter: 400,
}

const typeOf = (status: number): string => {
  if (status === 401) return 'authentication_error'
  if (status === 403) return 'permission_error'
  if (status === 429) return 'rate_limit_error'
  return status < 500 ? 'invalid_request_error' : 'server_error'
}

export const statusOf = ({ code, status }: OmiumError): number => statuses[code] ?? status

export const errorBody = (error: OmiumError, message: string, requestId?: string): ErrorBody => ({
  error: {
    message,
    type: typeOf(statusOf(error)),
    param: null,
    code: error.code,
    retryable: error.retryable,
    ...(requestId !== undefined && { request_id: requestId }),
  },
})

/** `retry-after` for everybody, in milliseconds for who reads that, and whether clients' own retries make sense. */
export const errorHeaders = (error: OmiumError): Record<string, string> => {
  const wait = retryAfterMsOf(error)
  return {
    'x-should-retry': String(error.retryable),
    ...(error.retryable &&
      wait !== undefined && { 'retry-after': String(Math.ceil(wait / 1000)), 'retry-after-ms': String(wait) }),
  }
}

/** Any error as one of the closed list. What nobody foresaw becomes `internal`, without its text. */
export const toOmiumError = (thrown: unknown): OmiumError => {
  if (thrown instanceof OmiumError) return thrown
  const { code, statusCode, message } = thrown as { code?: string; statusCode?: number; message?: string }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new OmiumError('payload_too_large', message ?? 'the body is too large')
  if (thrown instanceof SyntaxError && statusCode === 400)
    return new OmiumError('invalid_json', `the body cannot be parsed: ${thrown.message}`)
  if (code === 'FST_ERR_CTP_INVALID_JSON_BODY' || code === 'FST_ERR_CTP_EMPTY_JSON_BODY')
    return new OmiumError('invalid_json', message ?? errorCatalogue.invalid_json.title)
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new OmiumError('invalid_request', message ?? 'the request cannot be handled')
  return new OmiumError('internal', 'an unexpected error; its details are in the log under this request id', {
    cause: thrown,
  })
}
