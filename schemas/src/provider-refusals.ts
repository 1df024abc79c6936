import { type ErrorCode, OmiumError } from './errors.ts'

/**
 * Providers' refusals as our codes. A provider's own words decide first, its status only what they leave open: a quota that
 * is used up comes as 429 and is no matter of waiting, a key that is wrong may come as 400.
 */
export interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

type Loose = Readonly<Record<string, unknown>>
const looseOf = (value: unknown): Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : {}
const listOf = (value: unknown): readonly Loose[] => (Array.isArray(value) ? value.map(looseOf) : [])
const textIn = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

interface Said {
  readonly message: string
  /** every machine-readable word about the reason, in lower case */
  readonly words: readonly string[]
  readonly retryAfterMs?: number | undefined
}

/** Words in `error.code`, `type`, `status`, `reason`. */
const byWord: Readonly<Record<string, ErrorCode>> = {
  // the account cannot pay: waiting does not help, another provider does
  insufficient_quota: 'model_auth',
  billing_hard_limit_reached: 'model_auth',
  billing_not_active: 'model_auth',
  billing_error: 'model_auth',
  account_deactivated: 'model_auth',
  invalid_api_key: 'model_auth',
  api_key_invalid: 'model_auth',
  api_key_expired: 'model_auth',
  authentication_error: 'model_auth',
  permission_error: 'model_auth',
  permission_denied: 'model_auth',
  unauthenticated: 'model_auth',
  context_length_exceeded: 'model_context_length',
  string_above_max_length: 'model_context_length',
  request_too_large: 'model_context_length',
  model_context_window_exceeded: 'model_context_length',
  content_filter: 'model_content_filter',
  content_policy_violation: 'model_content_filter',
  responsibleaipolicyviolation: 'model_content_filter',
  rate_limit_exceeded: 'model_rate_limited',
  rate_limit_error: 'model_rate_limited',
  resource_exhausted: 'model_rate_limited',
  too_many_requests: 'model_rate_limited',
  overloaded_error: 'model_overloaded',
  api_error: 'model_overloaded',
  server_error: 'model_overloaded',
  internal_server_error: 'model_overloaded',
  engine_overloaded: 'model_overloaded',
  timeout_error: 'model_overloaded',
  unavailable: 'model_overloaded',
  internal: 'model_overloaded',
  deadline_exceeded: 'model_overloaded',
}

/** What is said to people. In order: the first that fits decides. */
const byText: readonly (readonly [RegExp, ErrorCode])[] = [
  [
    /maximum context length|context.?(length|window)|prompt is too long|input token count.*exceeds|too many (input )?tokens in|exceeds? the (available )?context|input is too long|too long to fit into the model|exceeds the maximum number of tokens/i,
    'model_context_length',
  ],
  [
    /credit balance is too low|insufficient_quota|exceeded your current quota(?![\s\S]*(retry in|resource_exhausted))|api.?key not valid|(incorrect|invalid) api.?key|user location is not supported/i,
    'model_auth',
  ],
  [
    /content (management|filtering) policy|responsibleaipolicyviolation|safety system|output blocked|violating our usage policy/i,
    'model_content_filter',
  ],
  [/^overloaded|overloaded_error|is (currently )?overloaded/i, 'model_overloaded'],
]

/** The code of what a provider says in words, wherever they turn up; undefined when they are no known ones. */
export const codeInText = (text: string): ErrorCode | undefined => byText.find(([pattern]) => pattern.test(text))?.[1]

const byStatus = (status: number): ErrorCode => {
  if (status === 401 || status === 402 || status === 403) return 'model_auth'
  if (status === 429) return 'model_rate_limited'
  if (status === 413) return 'model_context_length'
  if (status === 408 || status === 409 || status === 425 || status >= 500) return 'model_overloaded'
  // a redirect: this is not the API that the base URL was taken for
  if (status < 400) return 'model_malformed'
  return 'invalid_request'
}

const durationMs = (text: string): number | undefined => {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text.trim())
  if (!found) return undefined
  const factor = found[2] === 'ms' ? 1 : found[2] === 'm' ? 60_000 : 1000
  return Math.ceil(Number(found[1]) * factor)
}

const wordsIn = (...values: unknown[]): string[] =>
  values.flatMap((value) => (typeof value === 'string' && value !== '' ? [value.toLowerCase()] : []))

/** What stands in a provider's `error` member, or in the whole body of those that have none. */
const saidIn = (error: unknown): Said => {
  if (typeof error === 'string') return { message: error, words: [] }
  const { code, type, status, message, details, innererror, metadata } = looseOf(error) as Record<string, unknown>
  const google = listOf(details)
  const retry = google.map((detail) => textIn(detail['retryDelay'])).find((delay) => delay !== undefined)
  const raw = textIn(looseOf(metadata)['raw'])
  return {
    message: [textIn(message), raw].filter(Boolean).join(': '),
    words: wordsIn(code, type, status, looseOf(innererror)['code'], ...google.map((detail) => detail['reason'])),
    retryAfterMs: retry === undefined ? undefined : durationMs(retry),
  }
}

const saidInBody = (body: string): Said => {
  try {
    const whole: unknown = JSON.parse(body)
    // Gemini's stream endpoint wraps its error in a list
    const parsed = looseOf(Array.isArray(whole) ? whole[0] : whole)
    const { type, ...said } = saidIn(parsed['error'] ?? parsed['detail'] ?? parsed) as Said & { type?: unknown }
    return { ...said, message: said.message || body }
  } catch {
    return { message: body.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' '), words: [] }
  }
}

/** How long the provider wants to be left alone, ms; longer than a day counts as a day. */
export const retryAfterOf = (
  { headers }: Pick<Refusal, 'headers'>,
  message: string,
  nowMs: number,
): number | undefined => {
  const { 'retry-after-ms': exact, 'retry-after': given } = headers
  const inMs = exact === undefined ? undefined : Number(exact)
  if (inMs !== undefined && inMs >= 0) return bounded(inMs)
  if (given !== undefined) {
    const seconds = durationMs(given)
    if (seconds !== undefined) return bounded(seconds)
    const date = Date.parse(given)
    if (!Number.isNaN(date)) return bounded(Math.max(0, date - nowMs))
  }
  const inText = /(?:try again|retry) in (\d+(?:\.\d+)?(?:ms|s|m))/i.exec(message)?.[1]
  const told = inText === undefined ? undefined : durationMs(inText)
  return told === undefined ? undefined : bounded(told)
}
const bounded = (ms: number): number => Math.min(86_400_000, Math.ceil(ms))

const longestMessage = 1000

const errorOf = (said: Said, status: number | undefined, retryAfterMs: number | undefined): OmiumError => {
  const text = codeInText(said.message)
  const word = said.words.map((one) => byWord[one]).find((found) => found !== undefined)
  const plain = status === undefined ? 'model_overloaded' : byStatus(status)
  // Google says of every rate that the quota is used up
  const limited = word === 'model_rate_limited' && text === 'model_auth'
  // a status that blames the request is right even where the words blame the server (Ollama's unknown models)
  const code = limited
    ? word
    : (text ?? (plain === 'invalid_request' && word === 'model_overloaded' ? plain : (word ?? plain)))
  const told = said.message.slice(0, longestMessage) || 'nothing'
  const detail =
    status === undefined ? `the model provider broke off: ${told}` : `the model provider answered ${status}: ${told}`
  const wait = said.retryAfterMs ?? retryAfterMs
  return new OmiumError(code, detail, wait === undefined ? {} : { data: { retryAfterMs: wait } })
}

/** The error of an answer that is not 2xx. */
export const refusalOf = (refusal: Refusal, nowMs: number): OmiumError => {
  const said = saidInBody(refusal.body.slice(0, 64 * 1024))
  return errorOf(said, refusal.status, retryAfterOf(refusal, said.message, nowMs))
}

/** The error in the `error` member of a stream or of an answer that is 2xx. */
export const refusalIn = (error: unknown): OmiumError => {
  const said = saidIn(error)
  const { code: status } = looseOf(error)
  return errorOf(said, typeof status === 'number' && status >= 400 && status < 600 ? status : undefined, undefined)
}
