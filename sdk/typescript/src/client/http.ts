import { setTimeout as timer } from 'node:timers/promises'
import { type JsonValue, OmiumError, problem, readSettings } from '@omium/schemas'
import { z } from 'zod'
import { version } from '../version.ts'
import type { Operations } from './generated/operations.ts'

/** How calls are made; `client.withOptions` gives a client that makes them otherwise. */
export interface RequestOptions {
  /** ends what is under way: calls, and lists that are being read, throw its reason */
  signal?: AbortSignal
  /** for each try, until its answer is read, ms; 30,000 unless given. Waiting for a result is no single call: see `result` */
  timeoutMs?: number
  /** how often a request is sent at most, where another try may help; 6 unless given, 1: once */
  maxTries?: number
  /** sent with every request */
  headers?: Readonly<Record<string, string>>
  /** told of every try when it is over, e.g. to log it; has no secrets in it */
  onTry?: (tried: Tried) => void
}

/** A try of a request, over. */
export interface Tried {
  readonly method: string
  /** without its query */
  readonly path: string
  /** `x-request-id`, which is in the gateway's log, too */
  readonly requestId: string
  /** the same for all tries of a change; absent of what only reads */
  readonly idempotencyKey?: string
  /** from 1 */
  readonly attempt: number
  /** absent when there was no answer */
  readonly status?: number
  readonly tookMs: number
  readonly error?: OmiumError
  /** when it is tried again */
  readonly retryInMs?: number
}

export interface ConnectionOptions extends RequestOptions {
  /** base URL of the gateway; `OMIUM_URL`, else http://localhost:8080 */
  url?: string
  /** `OMIUM_API_KEY` unless given */
  apiKey?: string
  /** in place of a key, for people who are signed in: the access token of their session, asked for before each request */
  accessToken?: () => Promise<string>
  /** base URL of the model gateway, which `models()` asks; `OMIUM_MODELS_URL` unless given */
  modelsUrl?: string
  /** in place of the global one, e.g. with a proxy or certificates of your own */
  fetch?: typeof fetch
}

export interface HttpRequest extends Omit<RequestOptions, 'onTry'> {
  body?: unknown
  /** a list stands for the member several times */
  query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>
  accept?: string
  /** of a change; minted unless given */
  idempotencyKey?: string
  /** of another server of the platform that takes the same credentials */
  baseUrl?: string
  /** of what takes longer than most, where the client has no time limit */
  usualTimeoutMs?: number
}

/** What an operation of the API takes. */
export type Call<O extends keyof Operations> = Omit<Operations[O], 'answer' | 'query'> &
  (Operations[O] extends { query: infer Query } ? { query?: Query } : unknown) &
  Pick<HttpRequest, 'signal' | 'timeoutMs' | 'usualTimeoutMs' | 'maxTries'>
/** What it answers. */
export type AnswerOf<O extends keyof Operations> = Operations[O]['answer']

const defaultTries = 6
const baseDelayMs = 50
const maxDelayMs = 3000
const defaultTimeoutMs = 30_000
const longestRetryAfterMs = 60_000
/** Retries may add at most about a fifth to the load, after a burst of ten. */
const budgetLimit = 10
const budgetPerRequest = 0.2

const userAgent = `omium-typescript/${version} node/${process.versions.node}`

/** A request as each of its tries sends it. */
interface Prepared {
  readonly method: string
  readonly path: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly idempotencyKey: string | undefined
  readonly body: string | undefined
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}
/** `text`: of an answer that was to be read */
type Answered = { readonly response: Response; readonly text: string }
type Refused = { readonly error: OmiumError; readonly status?: number; readonly retryAfterMs: number }

/**
 * Requests to the gateway.
 *
 * 1. A change carries one idempotency key through all its tries: it is decided once, however often it has to be sent.
 * 2. A try is over when its answer has been read: one that breaks off in the middle is tried again like one that never came.
 * 3. What is refused is an `OmiumError` with the gateway's code; what is not the gateway's answer is `unavailable`,
 *    `rate_limited` or `internal`. Redirects are not followed: a change would become a look, and the key go elsewhere.
 * 4. Tries are spaced with full jitter, at least by `retry-after`, and come out of one budget.
 */
export class Http {
  readonly url: string
  private readonly options: ConnectionOptions
  private readonly modelsUrl: string | undefined
  /** what opens the gateway: a key, or the token of a session */
  private readonly credential: () => Promise<string>
  private readonly fetch: typeof fetch
  private readonly budget: { left: number }

  /** @throws OmiumError `settings_invalid` when there is neither a key, given or in the environment, nor a session */
  constructor(options: ConnectionOptions, budget = { left: budgetLimit }) {
    const { accessToken } = options
    const env = {
      ...process.env,
      ...(options.url !== undefined && { OMIUM_URL: options.url }),
      ...(options.apiKey !== undefined && { OMIUM_API_KEY: options.apiKey }),
      ...(options.modelsUrl !== undefined && { OMIUM_MODELS_URL: options.modelsUrl }),
    }
    const settings = readSettings(env, ['OMIUM_URL', 'OMIUM_MODELS_URL'])
    this.url = withoutSlash(settings.OMIUM_URL)
    this.modelsUrl = settings.OMIUM_MODELS_URL && withoutSlash(settings.OMIUM_MODELS_URL)
    if (accessToken) this.credential = accessToken
    else {
      const { OMIUM_API_KEY: key } = readSettings(env, ['OMIUM_API_KEY'])
      this.credential = async () => key
    }
    this.fetch = options.fetch ?? fetch
    this.options = options
    this.budget = budget
  }

  /** ends whatever is under way */
  get signal(): AbortSignal | undefined {
    return this.options.signal
  }

  /** The same connection and budget with other options. */
  with(options: RequestOptions): Http {
    const headers = { ...this.options.headers, ...options.headers }
    const { url, credential: accessToken, modelsUrl } = this
    const same = { ...this.options, url, accessToken, ...(modelsUrl !== undefined && { modelsUrl }) }
    return new Http({ ...same, ...options, headers }, this.budget)
  }

  /** Where the model gateway is. @throws OmiumError `settings_invalid` when nobody has said it */
  models(): string {
    if (this.modelsUrl !== undefined) return this.modelsUrl
    throw new OmiumError('settings_invalid', 'no model gateway: set OMIUM_MODELS_URL, or give modelsUrl')
  }

  /** An operation of the API. @throws OmiumError with the gateway's code, or `unavailable` */
  async call<O extends keyof Operations>(operation: O, request: Call<O>): Promise<AnswerOf<O>> {
    const { path = {}, ...rest } = request as HttpRequest & { path?: Readonly<Record<string, string | number>> }
    const [method = '', template = ''] = operation.split(' ')
    const filled = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => segment(String(path[name])))
    return (await this.json(method, filled, rest)) as AnswerOf<O>
  }

  /** The body of a good answer; null when it has none. @throws OmiumError with the gateway's code, or `unavailable` */
  async json(method: string, path: string, request: HttpRequest = {}): Promise<JsonValue> {
    const { text } = await this.send(method, path, request, true)
    try {
      return text === '' ? null : (JSON.parse(text) as JsonValue)
    } catch (cause) {
      throw new OmiumError('internal', `${method} ${path} was answered with something that is not JSON`, { cause })
    }
  }

  /** A good answer with its body unread. */
  async open(path: string, request: HttpRequest): Promise<Response> {
    return (await this.send('GET', path, request, false)).response
  }

  private async send(method: string, path: string, request: HttpRequest, read: boolean): Promise<Answered> {
    this.budget.left = Math.min(budgetLimit, this.budget.left + budgetPerRequest)
    const prepared = this.prepared(method, path, request)
    const maxTries = request.maxTries ?? this.options.maxTries ?? defaultTries
    for (let attempt = 1; ; attempt++) {
      const requestId = crypto.randomUUID()
      const begun = performance.now()
      const outcome = await this.once(prepared, requestId, read)
      const told = (retryInMs?: number): void =>
        this.options.onTry?.({
          method,
          path,
          requestId,
          attempt,
          tookMs: performance.now() - begun,
          ...(prepared.idempotencyKey !== undefined && { idempotencyKey: prepared.idempotencyKey }),
          ...('error' in outcome
            ? { error: outcome.error, ...(outcome.status !== undefined && { status: outcome.status }) }
            : { status: outcome.response.status }),
          ...(retryInMs !== undefined && { retryInMs }),
        })
      if (!('error' in outcome)) {
        told()
        return outcome
      }
      if (!outcome.error.retryable || attempt >= maxTries || this.budget.left < 1) {
        told()
        throw outcome.error
      }
      this.budget.left -= 1
      const backoffMs = Math.random() * Math.min(maxDelayMs, baseDelayMs * 2 ** attempt)
      const pauseMs = Math.max(backoffMs, outcome.retryAfterMs)
      told(pauseMs)
      await pause(pauseMs, prepared.signal)
    }
  }

  private prepared(method: string, path: string, request: HttpRequest): Prepared {
    const url = new URL(`${request.baseUrl ?? this.url}${path}`)
    for (const [key, value] of Object.entries(request.query ?? {}))
      for (const one of [value].flat()) if (one !== undefined) url.searchParams.append(key, String(one))
    const idempotencyKey = method === 'GET' ? undefined : (request.idempotencyKey ?? crypto.randomUUID())
    return {
      method,
      path,
      url,
      idempotencyKey,
      body: request.body === undefined ? undefined : JSON.stringify(request.body),
      headers: {
        accept: request.accept ?? 'application/json, application/problem+json',
        'user-agent': userAgent,
        ...(request.body !== undefined && { 'content-type': 'application/json' }),
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        ...this.options.headers,
        ...request.headers,
      },
      timeoutMs: request.timeoutMs ?? this.options.timeoutMs ?? request.usualTimeoutMs ?? defaultTimeoutMs,
      signal: either(request.signal, this.signal),
    }
  }

  private async once(prepared: Prepared, requestId: string, read: boolean): Promise<Answered | Refused> {
    const { method, path, url, headers, body, timeoutMs, signal } = prepared
    signal?.throwIfAborted()
    const authorization = `Bearer ${await this.credential()}`
    const timeout = new AbortController()
    const waiting = setTimeout(() => timeout.abort(), timeoutMs)
    let response: Response | undefined
    try {
      response = await this.fetch(url, {
        method,
        redirect: 'manual',
        headers: { ...headers, authorization, 'x-request-id': requestId },
        ...(body !== undefined && { body }),
        signal: signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal,
      })
      // an answer counts when all of it is here
      const text = response.ok && !read ? '' : await response.text()
      if (response.ok) return { response, text }
      const { status } = response
      return { error: problemOf(response, text, `${method} ${path}`), status, retryAfterMs: retryAfterOf(response) }
    } catch (cause) {
      if (signal?.aborted) throw signal.reason
      // a refusal of whoever gave this `fetch`, not of the network
      if (cause instanceof OmiumError) throw cause
      const why = timeout.signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(cause)
      const what = response ? 'broke off its answer' : 'cannot be reached'
      const error = new OmiumError('unavailable', `${url.origin} ${what}: ${why}`, { cause })
      return { error, retryAfterMs: 0 }
    } finally {
      clearTimeout(waiting)
    }
  }
}

/** Aborted when one of them is. */
export const either = (one: AbortSignal | undefined, other: AbortSignal | undefined): AbortSignal | undefined =>
  one && other ? AbortSignal.any([one, other]) : (one ?? other)

/** Waits. @throws the reason of `signal`, when it is aborted */
export const pause = async (ms: number, signal: AbortSignal | undefined): Promise<void> => {
  try {
    await timer(ms, undefined, signal ? { signal } : {})
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  }
}

/** How long to wait before what broke `failures` times in a row is begun again, ms. */
export const reconnectDelayMs = (failures: number): number =>
  Math.random() * Math.min(maxDelayMs, baseDelayMs * 2 ** Math.min(failures, 10)) + baseDelayMs

/** A text as one segment of a path. @throws OmiumError `invalid_request` for one that would make it another path */
export const segment = (text: string): string => {
  if (/^\.{0,2}$/.test(text)) throw new OmiumError('invalid_request', `${JSON.stringify(text)} is no id`)
  return encodeURIComponent(text)
}

const retryAfterOf = (response: Response): number => {
  const header = response.headers.get('retry-after') ?? ''
  const ms = /^\d/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return Number.isFinite(ms) ? Math.min(longestRetryAfterMs, Math.max(0, ms)) : 0
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, '')

const reasonOf = (error: unknown): string => {
  const cause = error instanceof Error ? (error.cause as { code?: string; message?: string } | undefined) : undefined
  return cause?.code ?? cause?.message ?? String(error)
}

/** as the model gateway refuses, which speaks OpenAI's language */
const modelProblem = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

/** what it means when somebody between client and gateway refuses */
const strangers: Readonly<Record<number, OmiumError['code']>> = {
  408: 'unavailable',
  429: 'rate_limited',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
}

/** The error behind a refused request: the gateway's own, or one that says what stood between. */
const problemOf = (response: Response, text: string, what: string): OmiumError => {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  const parsed = problem.safeParse(body)
  const { data: modelRefusal } = modelProblem.safeParse(body)
  if (modelRefusal) {
    const { code, message } = modelRefusal.error
    return new OmiumError(code as OmiumError['code'], message, { retryable: response.status >= 500 })
  }
  if (!parsed.success) {
    const code = strangers[response.status] ?? 'internal'
    const location = response.headers.get('location')
    const elsewhere = location === null ? '' : `, which points to ${location}: is the URL right?`
    return new OmiumError(
      code,
      `${what} was answered ${response.status} by something that is not the gateway${elsewhere}`,
    )
  }
  const { detail, retryable, errors, requestId } = parsed.data
  const code = parsed.data.code as OmiumError['code']
  const lines = errors?.map((error) => `${error.path}: ${error.message}`) ?? []
  // the gateway says in its detail what is wrong with fields; others may not
  const more = lines.filter((line) => !detail.includes(line))
  return new OmiumError(code, [detail, ...more].join('; '), {
    retryable,
    ...(requestId !== undefined && { data: { requestId } }),
  })
}
