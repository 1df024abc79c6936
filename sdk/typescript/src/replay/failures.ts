import { type Failure, type JsonValue, OmiumError, type RetryPolicy } from '@omium/schemas'

const isNonRetryable = Symbol.for('omium.nonRetryable')
const detailLimit = 8192
const messageLimit = 4096
const stackLimit = 8192
const nameLimit = 200

/** An error that no policy tries again: `throw nonRetryable('the account is closed')`. */
export const nonRetryable = (message: string, options: { cause?: unknown; code?: string } = {}): Error =>
  Object.assign(new Error(message, options.cause === undefined ? undefined : { cause: options.cause }), {
    name: 'NonRetryableError',
    [isNonRetryable]: true,
    ...(options.code !== undefined && { code: options.code }),
  })

const clip = (text: string, limit: number): string => (text.length <= limit ? text : `${text.slice(0, limit - 1)}…`)

/** Anything can be thrown, also what has no text and what only looks like an error. */
const textOf = (value: unknown): string => {
  try {
    return typeof value === 'string' ? value : String(value)
  } catch {
    return 'a value without a text'
  }
}

const causeOf = (error: unknown): NonNullable<Failure['cause']> => {
  if (!(error instanceof Error)) return { name: typeof error, message: clip(textOf(error), messageLimit) }
  const { name, message, stack } = error as { name: unknown; message: unknown; stack?: unknown }
  return {
    name: clip(textOf(name) || error.constructor.name, nameLimit),
    message: clip(textOf(message), messageLimit),
    ...(typeof stack === 'string' && stack && { stack: clip(stack, stackLimit) }),
  }
}

const codeOf = (error: unknown): string | undefined => {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? clip(code, 200) : undefined
}

/** Whether a policy forbids another try of what threw this: by `nonRetryable()`, or its `code`, name or cause's name. */
export const forbidsRetry = (error: unknown, policy: Pick<RetryPolicy, 'nonRetryable'>): boolean => {
  if (typeof error !== 'object' || error === null) return false
  if ((error as { [isNonRetryable]?: boolean })[isNonRetryable]) return true
  if (error instanceof OmiumError && !error.retryable) return true
  if (policy.nonRetryable.length === 0) return false
  const { name, code, cause } = error as { name?: string; code?: unknown; cause?: { name?: string } }
  return policy.nonRetryable.some((entry) => entry === name || entry === code || entry === cause?.name)
}

/**
 * How an error thrown by user code travels: an `OmiumError` keeps its code; anything else gets `code`, its class, message
 * and stack in `cause`, and its own `code` in `data.code`.
 */
export const failureOf = (
  error: unknown,
  code: 'step_failed' | 'agent_threw',
  what: string,
  retryable: boolean,
): Failure => {
  if (error instanceof OmiumError) {
    const own = error.toFailure()
    return { ...own, detail: clip(own.detail, detailLimit), retryable: own.retryable && retryable }
  }
  const cause = causeOf(error)
  const userCode = codeOf(error)
  const data: JsonValue | undefined = userCode === undefined ? undefined : { code: userCode }
  return {
    code,
    detail: clip(`${what} threw ${cause.name}: ${cause.message}`, detailLimit),
    retryable,
    cause,
    ...(data !== undefined && { data }),
  }
}
